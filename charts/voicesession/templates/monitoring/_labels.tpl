{{/* Labels of the objects for the Prometheus Operator, including the selector labels from the values. */}}
{{- define "voicesession.monitoring.labels" -}}
{{ include "voicesession.labels" . }}
{{- with .root.Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
