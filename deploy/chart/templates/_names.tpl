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
