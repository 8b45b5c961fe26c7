{{/* Pod settings that every pod of the release has. */}}
{{- define "cartmesh.pod" -}}
serviceAccountName: {{ include "cartmesh.fullname" . }}
{{ include "cartmesh.locked" . }}
{{- end }}

{{/* The same, for hooks that run before the service account is there. */}}
{{- define "cartmesh.locked" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Container settings that every container of the release has. */}}
{{- define "cartmesh.container" -}}
image: {{ include "cartmesh.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Where the region's servers are and how to trust them, as environment variables. Input: root, url (the variable). */}}
{{- define "cartmesh.natsEnv" -}}
{{- with .root.Values.secrets.login }}
- {name: CARTMESH_NATS_LOGIN, value: {{ . }}}
{{- end }}
- name: {{ .url }}
  value: {{ .root.Values.nats.urls | join "," | quote }}
{{- with .root.Values.nats.tls }}
{{- if .caSecret }}
- {name: CARTMESH_NATS_CA, value: /etc/cartmesh/ca/ca.crt}
{{- end }}
{{- if .clientSecret }}
- {name: CARTMESH_NATS_CERTIFICATE, value: /etc/cartmesh/client/tls.crt}
- {name: CARTMESH_NATS_KEY, value: /etc/cartmesh/client/tls.key}
{{- end }}
{{- end }}
{{- end }}

{{/* How commands connect, as environment variables. With the password of `sys` they see how many servers there are. */}}
{{- define "cartmesh.operatorEnv" -}}
{{- $variable := include "cartmesh.variable" .Values.region }}
{{- include "cartmesh.natsEnv" (dict "root" . "url" (printf "CARTMESH_NATS_URL_%s" $variable)) }}
- name: CARTMESH_NATS_PASSWORD_{{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ .Values.secrets.passwords }}, key: operator{{ include "cartmesh.login" . }}}
- name: CARTMESH_NATS_SYS_PASSWORD_{{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ .Values.secrets.passwords }}, key: sys{{ include "cartmesh.login" . }}, optional: true}
{{- end }}

{{/* How the keys of the logins end that are used. */}}
{{- define "cartmesh.login" -}}
{{- with .Values.secrets.login }}.{{ . }}{{ end }}
{{- end }}

{{- define "cartmesh.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: mesh, mountPath: /etc/cartmesh/mesh, readOnly: true}
{{- with .Values.nats.tls }}
{{- if .caSecret }}
- {name: ca, mountPath: /etc/cartmesh/ca, readOnly: true}
{{- end }}
{{- if .clientSecret }}
- {name: client, mountPath: /etc/cartmesh/client, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{/* Input: root, mesh (the ConfigMap's name). */}}
{{- define "cartmesh.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
- name: mesh
  configMap: {name: {{ .mesh }}}
{{- with .root.Values.nats.tls }}
{{- if .caSecret }}
- name: ca
  secret:
    secretName: {{ .caSecret }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- if .clientSecret }}
- name: client
  secret:
    secretName: {{ .clientSecret }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end }}

{{/* A service's settings as environment variables. Input: root, service. */}}
{{- define "cartmesh.settings" -}}
{{- $secret := .service.secretSettings }}
{{- $plain := mergeOverwrite (deepCopy .root.Values.settings) .service.settings }}
{{- range $field, $value := $plain }}
{{- if not (hasKey $secret $field) }}
- name: CARTMESH_{{ upper $field }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- if and .service.pages .root.Values.console.hosts }}
- name: CARTMESH_URL_CONSOLE
  value: {{ printf "https://%s" (first .root.Values.console.hosts) | quote }}
{{- end }}
{{- range $name, $value := .root.Values.environment }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $field, $at := $secret }}
- name: CARTMESH_{{ upper $field }}
  valueFrom:
    secretKeyRef: {name: {{ $at.secret }}, key: {{ $at.key }}}
{{- end }}
{{- end }}
