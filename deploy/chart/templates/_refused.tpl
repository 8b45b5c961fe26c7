{{/* Refuses the value of a setting that its code would refuse once the pod starts. Input: where, given, mesh. */}}
{{- define "cartmesh.typed" -}}
{{- $kinds := dict
  "duration" (dict "is" "^\\s*[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)\\s*$" "as" "a duration such as 150ms, 30s, 30m, 2h or 1d")
  "integer" (dict "is" "^-?[0-9]+$" "as" "a whole number, in quotes from a million on")
  "number" (dict "is" "^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?$" "as" "a number")
  "flag" (dict "is" "^([tT]rue|[fF]alse|1|0)$" "as" "true or false") }}
{{- range $field := keys .given | sortAlpha }}
{{- with get $.mesh.kinds $field }}
{{- $kind := get $kinds . }}
{{- $text := get $.given $field | toString }}
{{- if not (regexMatch $kind.is $text) }}
{{- fail (printf "%s.%s: %q is not %s" $.where $field $text $kind.as) }}
{{- end }}
{{- end }}
{{- if and (regexMatch "(^|_)(secrets?|passwords?|keys?|secret_before|sources)$" $field) (not (regexMatch "(^write|_public|^api|^idempotency)_keys?$" $field)) }}
{{- fail (printf "%s.%s: a secret does not stand in values: make a Secret, and name it in secretSettings.%s, {secret: NAME, key: KEY}" $.where $field $field) }}
{{- end }}
{{- end }}
{{- end }}

{{/* A quantity of Kubernetes as a number: `250m` is 0.25, `1Ki` is 1024. */}}
{{- define "cartmesh.quantity" -}}
{{- $text := toString . }}
{{- $unit := regexFind "[A-Za-z]+$" $text }}
{{- $factors := dict "" 1.0 "m" 0.001 "k" 1000.0 "M" 1000000.0 "G" 1000000000.0 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 }}
{{- mulf (trimSuffix $unit $text | float64) (get $factors $unit) }}
{{- end }}

{{/* Refuses requests above their limits, which Kubernetes would refuse pod by pod. Input: where, resources. */}}
{{- define "cartmesh.affordable" -}}
{{- $limits := .resources.limits | default dict }}
{{- range $what, $asked := .resources.requests | default dict }}
{{- $limit := get $limits $what }}
{{- if and $limit (gt (include "cartmesh.quantity" $asked | float64) (include "cartmesh.quantity" $limit | float64)) }}
{{- fail (printf "%s.requests.%s: %v is more than the limit %v" $.where $what $asked $limit) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses a host that is another region's: its events and people would end up there. Input: root, mesh, where, host. */}}
{{- define "cartmesh.ours" -}}
{{- range $region, $facts := .mesh.regions }}
{{- if and $facts.domain (ne $region $.root.Values.region) }}
{{- if or (eq $.host $facts.domain) (hasSuffix (printf ".%s" $facts.domain) $.host) }}
{{- fail (printf "%s: %s belongs to region %s (mesh.toml), and this is %s" $.where $.host $region $.root.Values.region) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses to leave out what the network policy must let through. Input: root, name, service. */}}
{{- define "cartmesh.reachable" -}}
{{- if .root.Values.networkPolicy.enabled }}
{{- $rules := concat .root.Values.networkPolicy.egress .service.egress }}
{{- $settings := mergeOverwrite (deepCopy .root.Values.settings) .service.settings }}
{{- if and $settings.smtp_port (or (eq .name "channels") (and (eq .name "studio") (hasKey .service.settings "smtp_port"))) }}
{{- $passes := false }}
{{- range $rules }}
{{- if not .ports }}{{ $passes = true }}{{ end }}
{{- range .ports }}
{{- if not (kindIs "string" .port) }}
{{- $port := int $settings.smtp_port }}
{{- if and (le (int .port) $port) (ge (int (.endPort | default .port)) $port) }}{{ $passes = true }}{{ end }}
{{- else }}{{ $passes = true }}
{{- end }}
{{- end }}
{{- end }}
{{- if not $passes }}
{{- fail (printf "services.%s.egress: no rule lets mails out to port %v, which settings.smtp_port says: add {ports: [{port: %v}]}" .name $settings.smtp_port $settings.smtp_port) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses what holds for the release as a whole. Input: root, mesh. */}}
{{- define "cartmesh.whole" -}}
{{- $values := .root.Values }}
{{- range $url := $values.nats.urls }}
{{- if and $values.nats.tls.caSecret (hasPrefix "nats://" $url) }}
{{- fail (printf "nats.urls: %s speaks no TLS, so that nats.tls.caSecret would count for nothing and passwords go in the clear: write tls://, or leave the CA out" $url) }}
{{- end }}
{{- $host := regexReplaceAll ":[0-9]+$" (regexReplaceAll "^[a-z]+://" $url "") "" }}
{{- include "cartmesh.ours" (dict "root" $.root "mesh" $.mesh "where" "nats.urls" "host" $host) }}
{{- end }}
{{- range $host := $values.console.hosts }}
{{- include "cartmesh.ours" (dict "root" $.root "mesh" $.mesh "where" "console.hosts" "host" $host) }}
{{- end }}
{{- if and $values.networkPolicy.enabled $values.environment.OTEL_EXPORTER_OTLP_ENDPOINT (not $values.networkPolicy.egress) }}
{{- fail "environment.OTEL_EXPORTER_OTLP_ENDPOINT: no traces would get out, for networkPolicy.egress is empty: add a rule for the collector, {ports: [{port: 4318}]}" }}
{{- end }}
{{- if and $values.podMonitor.enabled $values.networkPolicy.enabled (not $values.networkPolicy.monitoring) }}
{{- fail "podMonitor.enabled: nobody may read metrics, for networkPolicy.monitoring is empty: name Prometheus, [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" }}
{{- end }}
{{- if eq (get $values.nats.podLabels "app.kubernetes.io/name") "cartmesh" }}
{{- fail "nats.podLabels: these are the services' own pods: write the labels of the NATS pods, such as {app.kubernetes.io/name: nats}" }}
{{- end }}
{{- include "cartmesh.affordable" (dict "where" "toolbox.resources" "resources" $values.toolbox.resources) }}
{{- end }}
