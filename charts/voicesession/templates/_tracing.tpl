{{/* Environment variables of a program that exports spans; none while tracing is off. */}}
{{- define "voicesession.tracing.env" -}}
{{- with .Values.tracing }}
{{- if .enabled }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .sampleRatio | quote }}}
{{- end }}
{{- end }}
{{- end -}}
