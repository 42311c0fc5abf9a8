{{- define "voicesession.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Selector labels of a component's pods; they never change, so that an upgrade restarts only changed components. */}}
{{- define "voicesession.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "voicesession.labels" -}}
{{ include "voicesession.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "voicesession.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "voicesession.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "voicesession.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Scheduling and image pull settings of a pod, from the values. */}}
{{- define "voicesession.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "voicesession.livekit.secretName" -}}
{{- if .Values.livekit.external.enabled -}}
{{ .Values.livekit.external.existingSecret }}
{{- else -}}
{{ include "voicesession.fullname" . }}-livekit
{{- end -}}
{{- end -}}

{{- define "voicesession.livekit.url" -}}
{{- if .Values.livekit.external.enabled -}}
{{ .Values.livekit.external.url }}
{{- else -}}
ws://{{ include "voicesession.fullname" . }}-livekit.{{ .Release.Namespace }}.svc:7880
{{- end -}}
{{- end -}}

{{- define "voicesession.webhookURL" -}}
http://{{ include "voicesession.fullname" . }}-operator-webhook.{{ .Release.Namespace }}.svc:8080/livekit/webhook
{{- end -}}

{{/* Letta's address; empty without Letta. */}}
{{- define "voicesession.letta.url" -}}
{{- if not .Values.letta.enabled -}}
{{- else if .Values.letta.external.enabled -}}
{{ .Values.letta.external.url }}
{{- else -}}
http://{{ include "voicesession.fullname" . }}-letta.{{ .Release.Namespace }}.svc:8283
{{- end -}}
{{- end -}}

{{/* The Secret with Letta's password; empty without a password. */}}
{{- define "voicesession.letta.secretName" -}}
{{- if not .Values.letta.enabled -}}
{{- else if .Values.letta.external.enabled -}}
{{ .Values.letta.external.existingSecret }}
{{- else -}}
{{ include "voicesession.fullname" . }}-letta
{{- end -}}
{{- end -}}

{{- define "voicesession.letta.model" -}}
{{- .Values.letta.model | default (ternary "openai-proxy/scripted-1" "openai/gpt-4.1-mini" .Values.demo.scriptedLLM.enabled) -}}
{{- end -}}

{{- define "voicesession.letta.openaiBaseURL" -}}
{{- if .Values.letta.openai.baseURL -}}
{{ .Values.letta.openai.baseURL }}
{{- else if .Values.demo.scriptedLLM.enabled -}}
http://{{ include "voicesession.fullname" . }}-scripted-llm.{{ .Release.Namespace }}.svc:8000/v1
{{- end -}}
{{- end -}}

{{/* Non-empty if the chart deploys Letta, and Postgres, itself. */}}
{{- define "voicesession.letta.bundled" -}}
{{- if and .Values.letta.enabled (not .Values.letta.external.enabled) -}}true{{- end -}}
{{- end -}}

{{- define "voicesession.postgres.bundled" -}}
{{- if and (include "voicesession.letta.bundled" .) (not .Values.postgres.external.enabled) -}}true{{- end -}}
{{- end -}}

{{- define "voicesession.postgres.secretName" -}}
{{- if .Values.postgres.external.enabled -}}
{{ .Values.postgres.external.existingSecret }}
{{- else -}}
{{ include "voicesession.fullname" . }}-postgres
{{- end -}}
{{- end -}}

{{/* The current value of a Secret's key in the cluster, base64; empty if it does not exist yet. */}}
{{- define "voicesession.kept" -}}
{{- $secret := lookup "v1" "Secret" .root.Release.Namespace .name | default dict -}}
{{- get ($secret.data | default dict) .key -}}
{{- end -}}

{{/* The one namespace that the gateway serves. */}}
{{- define "voicesession.gateway.namespace" -}}
{{- $watched := .Values.operator.watchNamespaces -}}
{{- $namespace := .Values.gateway.namespace | default (first $watched) | default .Release.Namespace -}}
{{- if and $watched (not (has $namespace $watched)) -}}
{{- fail (printf "gateway.namespace: %s is none of operator.watchNamespaces, so no operator would serve its sessions" $namespace) -}}
{{- end -}}
{{ $namespace }}
{{- end -}}

{{/* Allowed host names of the gateway: of its Service, of its Ingress, and from the values. */}}
{{- define "voicesession.gateway.hosts" -}}
{{- $service := printf "%s-gateway" (include "voicesession.fullname" .) -}}
{{- $inside := printf "%s.%s" $service .Release.Namespace -}}
{{- $names := list $service $inside (printf "%s.svc" $inside) (printf "%s.svc.cluster.local" $inside) -}}
{{- with .Values.gateway -}}
{{- if .ingress.enabled }}{{ $names = append $names .ingress.host }}{{ end -}}
{{- join "," (concat $names (.hosts | default list)) -}}
{{- end -}}
{{- end -}}

{{- define "voicesession.gateway.secretName" -}}
{{ .Values.gateway.auth.keys.existingSecret | default (printf "%s-gateway" (include "voicesession.fullname" .)) }}
{{- end -}}
