{{- define "common.image" -}}
{{- $registry := default .image.registry (.global).imageRegistry -}}
{{- printf "%s/%s:%s" $registry .image.repository .image.tag -}}
{{- end -}}
