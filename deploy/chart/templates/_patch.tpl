{{/*
An object as YAML, after `merge` and `patch` of its kind. Input: object (map), merge, patch (maps by kind).
*/}}
{{- define "cartmesh.object" -}}
{{- if hasKey .object "Error" }}{{ fail .object.Error }}{{ end }}
{{- $object := mergeOverwrite .object (deepCopy (get .merge .object.kind | default dict)) }}
{{- range get .patch .object.kind | default list }}
{{- $path := splitList "/" .path | rest }}
{{- $doc := dict "at" $object "path" $path "patch" . }}
{{- $object = get (include "cartmesh.patched" $doc | fromJson) "doc" }}
{{- end }}
---
{{ toYaml $object }}
{{ end }}

{{/*
One operation of RFC 6902 (add, replace, remove) as JSON {doc: ...}. Input: at (map or list), path (its tokens), patch.
*/}}
{{- define "cartmesh.patched" -}}
{{- $token := first .path | replace "~1" "/" | replace "~0" "~" }}
{{- $last := eq (len .path) 1 }}
{{- $where := printf "patch %s %s" .patch.op .patch.path }}
{{- $doc := .at }}
{{- if kindIs "map" .at }}
  {{- if and (not (hasKey .at $token)) (or (not $last) (ne .patch.op "add")) }}{{ fail (printf "%s: there is no %q" $where $token) }}{{ end }}
  {{- if not $last }}
    {{- $inner := include "cartmesh.patched" (dict "at" (get .at $token) "path" (rest .path) "patch" .patch) | fromJson }}
    {{- $_ := set $doc $token $inner.doc }}
  {{- else if eq .patch.op "remove" }}
    {{- $_ := unset $doc $token }}
  {{- else }}
    {{- $_ := set $doc $token .patch.value }}
  {{- end }}
{{- else if kindIs "slice" .at }}
  {{- $adds := and $last (eq .patch.op "add") }}
  {{- $index := ternary (len .at) (atoi $token) (eq $token "-") }}
  {{- if or (gt $index (len .at)) (and (not $adds) (ge $index (len .at))) }}{{ fail (printf "%s: the list has %d entries" $where (len .at)) }}{{ end }}
  {{- $before := slice .at 0 $index }}
  {{- $after := slice .at (ternary $index (add $index 1 | int) $adds) }}
  {{- $middle := list }}
  {{- if not $last }}
    {{- $inner := include "cartmesh.patched" (dict "at" (index .at $index) "path" (rest .path) "patch" .patch) | fromJson }}
    {{- $middle = list $inner.doc }}
  {{- else if ne .patch.op "remove" }}
    {{- $middle = list .patch.value }}
  {{- end }}
  {{- $doc = concat $before $middle $after }}
{{- else }}
  {{- fail (printf "%s: %q is in neither an object nor a list" $where $token) }}
{{- end }}
{{- dict "doc" $doc | toJson }}
{{- end }}
