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

{{/* Says `true` where one of the NetworkPolicy rules lets a port out. Input: rules, port. */}}
{{- define "cartmesh.passes" -}}
{{- $passes := false }}
{{- range .rules }}
{{- if not .ports }}{{ $passes = true }}{{ end }}
{{- range .ports }}
{{- if not (kindIs "string" .port) }}
{{- $port := int $.port }}
{{- if and (le (int .port) $port) (ge (int (.endPort | default .port)) $port) }}{{ $passes = true }}{{ end }}
{{- else }}{{ $passes = true }}
{{- end }}
{{- end }}
{{- end }}
{{- if $passes }}true{{ end }}
{{- end }}

{{/* Refuses to leave out what the network policy must let through. Input: root, name, service. */}}
{{- define "cartmesh.reachable" -}}
{{- if .root.Values.networkPolicy.enabled }}
{{- $rules := concat .root.Values.networkPolicy.egress .service.egress }}
{{- $settings := mergeOverwrite (deepCopy .root.Values.settings) .service.settings }}
{{- if and $settings.smtp_port (or (eq .name "channels") (and (eq .name "studio") (hasKey .service.settings "smtp_port"))) }}
{{- if not (include "cartmesh.passes" (dict "rules" $rules "port" $settings.smtp_port)) }}
{{- fail (printf "services.%s.egress: no rule lets mails out to port %v, which settings.smtp_port says: add {ports: [{port: %v}]}" .name $settings.smtp_port $settings.smtp_port) }}
{{- end }}
{{- end }}
{{- $named := include "cartmesh.named" (dict "root" .root "service" .service) | fromJson }}
{{- if and (eq .name "channels") (or (and $settings.sms_provider (not $settings.twilio_url) (not $settings.sns_url)) $named.push_public_key) }}
{{- if not (include "cartmesh.passes" (dict "rules" $rules "port" 443)) }}
{{- fail "services.channels.egress: no rule lets text messages and notifications out by HTTPS: add {ports: [{port: 443}]}" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The settings that a service is given, as JSON: true for each whose value is not empty, or is in a Secret. Input: root, service. */}}
{{- define "cartmesh.named" -}}
{{- $found := dict }}
{{- range $field, $value := mergeOverwrite (deepCopy .root.Values.settings) .service.settings }}
{{- if ne ($value | toString) "" }}{{ $_ := set $found $field true }}{{ end }}
{{- end }}
{{- range $field, $at := mergeOverwrite (deepCopy .root.Values.secretSettings) .service.secretSettings }}
{{- if and $at.secret $at.key }}{{ $_ := set $found $field true }}{{ end }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{/* Refuses what no text message or notification would go out with. Input: root, name, service. */}}
{{- define "cartmesh.messages" -}}
{{- $where := printf "services.%s" .name }}
{{- $settings := mergeOverwrite (deepCopy .root.Values.settings) .service.settings }}
{{- $named := include "cartmesh.named" (dict "root" .root "service" .service) | fromJson }}
{{- $forms := dict
  "sms_provider" (list "^(twilio|sns)?$" "no provider of text messages: write twilio, sns, or nothing for none")
  "sms_from" (list "^(\\+[1-9][0-9]{6,14}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11})?$" "no sender of text messages: write a number in quotes, such as \"+15005550006\", or a name of at most 11 letters and digits")
  "twilio_account" (list "^(AC[0-9a-fA-F]{32})?$" "no account of Twilio: its SID is AC and 32 hexadecimal digits")
  "twilio_messaging_service" (list "^(MG[0-9a-fA-F]{32})?$" "no messaging service of Twilio: its SID is MG and 32 hexadecimal digits")
  "twilio_status_url" (list "^(https://[^/]+/mail-reports/twilio)?$" "not where Twilio reaches mail-reports: write https://HOST/mail-reports/twilio")
  "sns_region" (list "^([a-z]{2}(-[a-z]+)+-[0-9]+)?$" "no region of Amazon: write one such as eu-west-1")
  "push_public_key" (list "^(B[A-Za-z0-9_-]{86})?$" "no public key that `cartmesh push-keys` printed")
  "push_contact" (list "^((mailto:[^@]+@.+|https://.+))?$" "nothing that push services could write to: write mailto:shop@example.com or https://...") }}
{{- range $field, $form := $forms }}
{{- $text := get $settings $field | default "" | toString }}
{{- if not (regexMatch (index $form 0) $text) }}
{{- fail (printf "%s.settings.%s: %q is %s" (ternary $where "" (hasKey $.service.settings $field)) $field $text (index $form 1) | trimPrefix ".") }}
{{- end }}
{{- end }}
{{- if eq .name "channels" }}
{{- $needed := dict "twilio" (list "twilio_account" "twilio_secret") "sns" (list "sns_region" "sns_access_key" "sns_secret_key") }}
{{- range $field := get $needed ($settings.sms_provider | default "") | default list }}
{{- if not (get $named $field) }}
{{- $place := ternary "secretSettings" "settings" (regexMatch "(secret|_key)$" $field) }}
{{- fail (printf "services.channels.%s.%s is missing: settings.sms_provider says %s, which takes no message without" $place $field $settings.sms_provider) }}
{{- end }}
{{- end }}
{{- if and (eq ($settings.sms_provider | default "") "twilio") (not (or $named.sms_from $named.twilio_messaging_service)) }}
{{- fail "services.channels.settings.sms_from is missing: Twilio needs it, or twilio_messaging_service, to know who sends" }}
{{- end }}
{{- if and $named.push_public_key (not $named.push_private_key) }}
{{- fail "services.channels.secretSettings.push_private_key is missing: browsers would subscribe for push_public_key, and nobody could send; `cartmesh push-keys` makes both" }}
{{- end }}
{{- if and $named.push_public_key (not $named.push_contact) }}
{{- fail "services.channels.settings.push_contact is missing: push services want an address to write to, such as mailto:shop@example.com" }}
{{- end }}
{{- end }}
{{- if and (eq .name "mail-reports") $named.twilio_status_url (not $named.twilio_secret) }}
{{- fail "services.mail-reports.secretSettings.twilio_secret is missing: without it nothing proves what Twilio reports, and STOP is not heard" }}
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
{{- range $field := list "sms_provider" "push_public_key" }}
{{- $said := dict }}
{{- range $name := list "channels" "offers" "studio" }}
{{- $service := get $values.services $name | default dict }}
{{- $settings := mergeOverwrite (deepCopy $values.settings) ($service.settings | default dict) }}
{{- $secrets := mergeOverwrite (deepCopy $values.secretSettings) ($service.secretSettings | default dict) }}
{{- $text := get $settings $field | default "" | toString }}
{{- $_ := set $said (printf "%s %s" $text (get $secrets $field | default dict | toJson)) $name }}
{{- end }}
{{- if gt (len $said) 1 }}
{{- fail (printf "settings.%s: channels, offers and studio must be told the same: write it into `settings` of all services" $field) }}
{{- end }}
{{- end }}
{{- if eq (get $values.nats.podLabels "app.kubernetes.io/name") "cartmesh" }}
{{- fail "nats.podLabels: these are the services' own pods: write the labels of the NATS pods, such as {app.kubernetes.io/name: nats}" }}
{{- end }}
{{- include "cartmesh.affordable" (dict "where" "toolbox.resources" "resources" $values.toolbox.resources) }}
{{- end }}
