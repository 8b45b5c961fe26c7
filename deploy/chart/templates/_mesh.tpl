{{/* The text of the mesh.toml that counts: the value `mesh`, else the one that the chart was rendered with. */}}
{{- define "cartmesh.toml" -}}
{{- .Values.mesh | default (.Files.Get "derived/mesh.toml") }}
{{- end }}

{{/*
What is known of the mesh, as JSON: what the code declares (derived/mesh.json), and with it the `regions` of mesh.toml,
each with its `nodes` and the `domain` that is this region's alone as far as its servers' address says so. Refuses a mesh
that cannot work; time zones and retention are judged by the hook, whose `cartmesh mesh check` knows all of it.
*/}}
{{- define "cartmesh.mesh" -}}
{{- $mesh := .Files.Get "derived/mesh.json" | fromJson }}
{{- $toml := include "cartmesh.toml" . | fromToml }}
{{- if hasKey $toml "Error" }}{{ fail (printf "mesh is not TOML: %s" $toml.Error) }}{{ end }}
{{- include "cartmesh.keys" (dict "where" "mesh" "given" $toml "known" $mesh.topology.mesh) }}
{{- $regions := $toml.regions | default dict }}
{{- if not $regions }}{{ fail "mesh: there is no region: write [regions.us] with nodes = 3" }}{{ end }}
{{- $found := dict }}
{{- range $name, $region := $regions }}
{{- include "cartmesh.region" (dict "name" $name "region" $region "known" $mesh.topology.region) }}
{{- $host := regexReplaceAll ":[0-9]+$" (get $region "leafnode_address" | default "") "" }}
{{- $domain := regexReplaceAll "^[^.]*\\.?" $host "" }}
{{- $_ := set $found $name (dict "nodes" ($region.nodes | default 3 | int) "domain" (ternary $domain "" (has $name (splitList "." $domain)))) }}
{{- end }}
{{- include "cartmesh.links" (dict "toml" $toml "names" (keys $regions | sortAlpha) "known" $mesh.topology.link) }}
{{- merge (dict "regions" $found) $mesh | toJson }}
{{- end }}

{{/* Refuses what mesh.toml does not know, such as a typo. Input: where, given, known. */}}
{{- define "cartmesh.keys" -}}
{{- if not (kindIs "map" .given) }}{{ fail (printf "%s: write a table with %s" .where (join ", " .known)) }}{{ end }}
{{- range $key := keys .given | sortAlpha }}
{{- if not (has $key $.known) }}
{{- fail (printf "%s.%s: nothing is called so; known here: %s" $.where $key (join ", " $.known)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses a region that cannot be run. Input: name, region, known. */}}
{{- define "cartmesh.region" -}}
{{- $where := printf "mesh.regions.%s" .name }}
{{- include "cartmesh.keys" (dict "where" $where "given" .region "known" .known) }}
{{- if not (regexMatch "^[a-z][a-z0-9]{0,15}$" .name) }}
{{- fail (printf "%s: a region's name is 1 to 16 of a-z and 0-9, beginning with a letter: it is part of subjects and streams" $where) }}
{{- end }}
{{- if not (has (.region.nodes | default 3 | toString) (list "1" "3" "5" "7" "9")) }}
{{- fail (printf "%s.nodes: %v: write 1, 3, 5, 7 or 9" $where .region.nodes) }}
{{- end }}
{{- with .region.leafnode_address }}
{{- if not (regexMatch "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$" .) }}
{{- fail (printf "%s.leafnode_address: %s: write the host and port that other regions dial, such as nats.eu.example.com:7422" $where .) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Refuses links that do not join every two regions once, and a region that is dialed nowhere. Input: toml, names, known. */}}
{{- define "cartmesh.links" -}}
{{- $names := .names }}
{{- $joined := dict }}
{{- range $index, $link := .toml.links | default list }}
{{- $where := printf "mesh.links[%d]" $index }}
{{- include "cartmesh.keys" (dict "where" $where "given" $link "known" $.known) }}
{{- range $end := list (get $link "from") (get $link "to") }}
{{- if not (has $end $names) }}
{{- fail (printf "%s ends in %q, which is no region; there are %s" $where $end (join ", " $names)) }}
{{- end }}
{{- end }}
{{- if eq $link.from $link.to }}{{ fail (printf "%s joins %s with itself: remove it" $where $link.to) }}{{ end }}
{{- $pair := list $link.from $link.to | sortAlpha | join " and " }}
{{- if hasKey $joined $pair }}{{ fail (printf "%s: %s are linked twice: one link carries both directions" $where $pair) }}{{ end }}
{{- $_ := set $joined $pair true }}
{{- if not (get (get $.toml.regions $link.to) "leafnode_address") }}
{{- fail (printf "mesh.regions.%s.leafnode_address is missing: the host and port that the servers of %s dial" $link.to $link.from) }}
{{- end }}
{{- end }}
{{- range $one := $names }}
{{- range $other := $names }}
{{- if and (lt $one $other) (not (hasKey $joined (printf "%s and %s" $one $other))) }}
{{- fail (printf "mesh: %s and %s are not linked, so neither would receive the other's events: add [[links]] from = %q to = %q" $one $other $other $one) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
