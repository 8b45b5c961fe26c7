{{/* The name before every object's. */}}
{{- define "cartmesh.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "cartmesh.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: cartmesh
cartmesh/region: {{ .Values.region | quote }}
{{ include "cartmesh.selector" . }}
{{- end }}

{{/* Labels by which the release's pods are found. */}}
{{- define "cartmesh.selector" -}}
app.kubernetes.io/name: cartmesh
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cartmesh.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{/* A name as part of an environment variable's. */}}
{{- define "cartmesh.variable" -}}
{{ . | upper | replace "-" "_" }}
{{- end }}

{{/*
A checksum of the Secrets that a pod reads, so that it restarts where one changed; of that with the authority the authority
alone, as the servers' certificates beside it are renewed. Helm sees them on an upgrade, and not
when it only renders: then `secrets.revision` says it. Input: root, service.
*/}}
{{- define "cartmesh.secretsSum" -}}
{{- $names := list .root.Values.secrets.passwords .root.Values.nats.tls.clientSecret }}
{{- range .service.secretSettings }}{{ $names = append $names .secret }}{{ end }}
{{- $found := dict }}
{{- range $name := compact (uniq $names) }}
{{- $_ := set $found $name (dig "data" dict (lookup "v1" "Secret" $.root.Release.Namespace $name)) }}
{{- end }}
{{- with .root.Values.nats.tls.caSecret }}
{{- $_ := set $found "ca.crt" (dict . (dig "data" "ca.crt" "" (lookup "v1" "Secret" $.root.Release.Namespace .))) }}
{{- end }}
{{- printf "%s %s" .root.Values.secrets.revision (toJson $found) | sha256sum }}
{{- end }}
