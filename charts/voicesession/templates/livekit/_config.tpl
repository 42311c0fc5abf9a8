{{/* LiveKit's configuration. It holds no secret: key and secret are environment variables. */}}
{{- define "voicesession.livekit.config" -}}
port: 7880
prometheus:
  port: 6789
rtc:
  use_external_ip: false
  {{- if eq .Values.livekit.service.type "NodePort" }}
  # LiveKit advertises the port it listens on, so these are the node ports themselves.
  tcp_port: {{ .Values.livekit.nodePorts.tcp }}
  udp_port: {{ .Values.livekit.nodePorts.udp }}
  {{- else }}
  tcp_port: 7881
  udp_port: 7882
  {{- end }}
room:
  # Only the operator makes rooms: a token that outlives its room must not bring it back.
  auto_create: false
api:
  # Participant lists come from the live room, not from a store that lags behind it.
  enable_psrpc_for_get_list_participants: true
webhook:
  urls:
    - {{ include "voicesession.webhookURL" . }}
  filter_params:
    # Track events would fill the room's queue before the events that matter.
    include_events: [room_started, room_finished, participant_joined, participant_left, participant_connection_aborted]
logging:
  level: {{ .Values.livekit.logLevel }}
  json: true
{{- end -}}
