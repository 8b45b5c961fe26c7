{{/*
The services of the mesh, each with what the code says of it (http, durables) and what the values say, as JSON
{services: {name: ...}}. A demo is off in the code's words, and the values alone switch it on. What only some services
do not start without (`secrets`) is given to those alone.
Refuses a region or a service that does not exist, and what is missing.
*/}}
{{- define "cartmesh.services" -}}
{{- $mesh := include "cartmesh.mesh" . | fromJson }}
{{- $regions := keys $mesh.regions | sortAlpha | join ", " }}
{{- if not .Values.region }}
{{- fail (printf "region is missing: write --set region=NAME or use a file of deploy/regions; there are %s" $regions) }}
{{- end }}
{{- if not (hasKey $mesh.regions .Values.region) }}
{{- fail (printf "region %q does not exist: there are %s (mesh.toml)" .Values.region $regions) }}
{{- end }}
{{- range $name := keys .Values.services | sortAlpha }}
{{- if not (hasKey $mesh.services $name) }}
{{- fail (printf "services.%s: no service is called so; there are %s" $name (keys $mesh.services | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- if not .Values.nats.urls }}
{{- fail "nats.urls is missing: the region's servers, such as tls://nats.nats.svc:4222" }}
{{- end }}
{{- if not .Values.secrets.passwords }}
{{- fail "secrets.passwords is missing: the name of the Secret with a NATS password for each service (see deploy/README.md)" }}
{{- end }}
{{- range $what := list "settings" "secretSettings" }}
{{- include "cartmesh.known" (dict "where" $what "given" (get $.Values $what) "mesh" $mesh) }}
{{- end }}
{{- include "cartmesh.whole" (dict "root" . "mesh" $mesh) }}
{{- $found := dict }}
{{- $few := list }}
{{- range $mesh.services }}
{{- $few = concat $few (.secrets | default list) }}
{{- end }}
{{- range $name, $facts := $mesh.services }}
{{- $begins := pick $facts "enabled" }}
{{- $service := mergeOverwrite (deepCopy $.Values.defaults) $begins (deepCopy (get $.Values.services $name | default dict)) (omit $facts "enabled") }}
{{- include "cartmesh.judge" (dict "name" $name "service" $service) }}
{{- range $host := $service.route.hosts }}
{{- include "cartmesh.ours" (dict "root" $ "mesh" $mesh "where" (printf "services.%s.route.hosts" $name) "host" $host) }}
{{- end }}
{{- if and (dig $name "autoscaling" "lag" 0 $.Values.services) (not $facts.durables) }}
{{- fail (printf "services.%s.autoscaling.lag: the service consumes nothing, so nothing waits for it: scale it by latency or cpu" $name) }}
{{- end }}
{{- $scaled := $service.autoscaling }}
{{- $followed := or $scaled.cpu (and $scaled.latency (or $facts.http $facts.durables)) (and $scaled.lag $facts.durables) }}
{{- if and $scaled.enabled (not $followed) }}
{{- /* What consumes nothing and answers nobody keeps its replicas, where all services are scaled. */}}
{{- $_ := set $scaled "enabled" false }}
{{- if dig $name "autoscaling" "enabled" false $.Values.services }}
{{- fail (printf "services.%s.autoscaling: nothing is followed, and Kubernetes would take 80 %% of the CPU: set latency, lag or cpu" $name) }}
{{- end }}
{{- end }}
{{- range $what := list "settings" "secretSettings" }}
{{- include "cartmesh.known" (dict "where" (printf "services.%s.%s" $name $what) "given" (get $service $what) "mesh" $mesh) }}
{{- end }}
{{- if $service.enabled }}
{{- include "cartmesh.messages" (dict "root" $ "name" $name "service" $service) }}
{{- include "cartmesh.reachable" (dict "root" $ "name" $name "service" $service) }}
{{- range $field, $at := $.Values.secretSettings }}
{{- if and (not (hasKey $service.secretSettings $field)) (or (not (has $field $few)) (has $field ($facts.secrets | default list))) }}
{{- $_ := set $service.secretSettings $field $at }}
{{- end }}
{{- end }}
{{- range $field := $facts.secrets }}
{{- $at := get $service.secretSettings $field | default dict }}
{{- if not (and $at.secret $at.key) }}
{{- fail (printf "services.%s.secretSettings.%s: name the Secret and the key it is in, {secret: NAME, key: KEY}; `cartmesh mesh secrets` makes it (see deploy/README.md)" $name $field) }}
{{- end }}
{{- end }}
{{- $_ := set $found $name $service }}
{{- end }}
{{- end }}
{{- dict "services" $found | toJson }}
{{- end }}

{{/* Refuses settings that no code reads, and those that are the chart's own. Input: where, given, mesh. */}}
{{- define "cartmesh.known" -}}
{{- range $field := keys .given | sortAlpha }}
{{- if or (has $field (list "host" "health_port")) (hasPrefix "nats_" $field) (hasPrefix "port_" $field) }}
{{- fail (printf "%s.%s: the chart sets this itself" $.where $field) }}
{{- end }}
{{- $known := has $field $.mesh.settings }}
{{- range $.mesh.settings }}
{{- if and (hasSuffix "_" .) (hasPrefix . $field) }}{{ $known = true }}{{ end }}
{{- end }}
{{- if not $known }}
{{- fail (printf "%s.%s: nothing reads this; derived/settings.md lists what is read" $.where $field) }}
{{- end }}
{{- end }}
{{- if not (hasSuffix "secretSettings" .where) }}
{{- include "cartmesh.typed" . }}
{{- end }}
{{- end }}

{{/* Refuses what the schema cannot see. Input: name, service. */}}
{{- define "cartmesh.judge" -}}
{{- with .service }}
{{- if and .autoscaling.enabled (gt (int .autoscaling.min) (int .autoscaling.max)) }}
{{- fail (printf "services.%s.autoscaling: min %v is more than max %v" $.name .autoscaling.min .autoscaling.max) }}
{{- end }}
{{- include "cartmesh.affordable" (dict "where" (printf "services.%s.resources" $.name) "resources" .resources) }}
{{- if and .route.hosts (not .http) }}
{{- fail (printf "services.%s.route.hosts: the service has no HTTP interface" $.name) }}
{{- end }}
{{- if and .route.hosts (not .route.paths) }}
{{- fail (printf "services.%s.route.paths is empty: say what is passed on, such as [/v1]" $.name) }}
{{- end }}
{{- range $field, $at := .secretSettings }}
{{- if not (and $at.secret $at.key) }}
{{- fail (printf "services.%s.secretSettings.%s: name the Secret and the key it is in, {secret: NAME, key: KEY}" $.name $field) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Metadata of a service's object. Input: root, name. */}}
{{- define "cartmesh.metadata" -}}
name: {{ include "cartmesh.fullname" .root }}-{{ .name }}
labels:
  {{- include "cartmesh.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* Which pods are a service's. Input: root, name. */}}
{{- define "cartmesh.pods" -}}
{{ include "cartmesh.selector" .root }}
app.kubernetes.io/component: {{ .name }}
{{- end }}
