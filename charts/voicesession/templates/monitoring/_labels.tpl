{{/* Labels of what a Prometheus operator reads; values say what yours selects by. */}}
{{- define "voicesession.monitoring.labels" -}}
{{ include "voicesession.labels" . }}
{{- with .root.Values.monitoring.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
