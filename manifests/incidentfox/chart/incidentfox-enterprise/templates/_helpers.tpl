{{/* The first part of every name; long enough for the longest suffix to fit a DNS label. */}}
{{- define "incidentfox.fullname" -}}
{{- .Release.Name | trunc 44 | trimSuffix "-" -}}
{{- end -}}

{{/* The one place where an image is named. Call with (dict "root" $ "image" "path:tag"), and with "registry" for another one. */}}
{{- define "incidentfox.image" -}}
{{- with .registry | default .root.Values.global.imageRegistry }}{{ . }}/{{ end }}{{ .image -}}
{{- end -}}

{{/* Call with (dict "root" $ "component" "agent"). */}}
{{- define "incidentfox.selector" -}}
app.kubernetes.io/name: incidentfox
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "incidentfox.labels" -}}
{{ include "incidentfox.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: incidentfox-enterprise
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The pod's half of what the Pod Security Standard "restricted" asks for. Call with the user's number. */}}
{{- define "incidentfox.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "incidentfox.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "incidentfox.pullSecrets" -}}
{{- with .Values.global.imagePullSecrets -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where a pod may run. Call with the entry of values that has nodeSelector and tolerations. */}}
{{- define "incidentfox.placement" -}}
{{- $place := dict -}}
{{- with .nodeSelector }}{{- $_ := set $place "nodeSelector" . }}{{ end -}}
{{- with .tolerations }}{{- $_ := set $place "tolerations" . }}{{ end -}}
{{- with $place }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "incidentfox.databaseHost" -}}
{{- if .Values.global.database.host -}}
{{ .Values.global.database.host }}
{{- else if .Values.postgres.enabled -}}
{{ include "incidentfox.fullname" . }}-postgres
{{- else -}}
{{ fail "global.database.host is empty and postgres.enabled is false: there is no database" }}
{{- end -}}
{{- end -}}

{{- define "incidentfox.sslMode" -}}
{{- .Values.global.database.sslMode | default (ternary "require" "disable" (ne .Values.global.database.host "")) -}}
{{- end -}}

{{- define "incidentfox.llmUrl" -}}
{{- if .Values.global.openai.baseUrl -}}
{{ .Values.global.openai.baseUrl }}
{{- else if .Values.llm.enabled -}}
http://{{ include "incidentfox.fullname" . }}-vllm:{{ .Values.llm.port }}/v1
{{- else if eq .Values.global.openai.provider "openai" -}}
https://api.openai.com/v1
{{- else -}}
{{ fail (printf "global.openai.provider is %s: global.openai.baseUrl must say where it is" .Values.global.openai.provider) }}
{{- end -}}
{{- end -}}

{{- define "incidentfox.llmModel" -}}
{{- if and .Values.llm.enabled (not .Values.global.openai.model) -}}
{{ .Values.llm.servedName }}
{{- else -}}
{{ required "global.openai.model is empty" .Values.global.openai.model }}
{{- end -}}
{{- end -}}

{{/* How the model gets into the pod: image, copy or claim. */}}
{{- define "incidentfox.modelSource" -}}
{{- $source := .Values.llm.model.source -}}
{{- $version := printf "%s.%s" .Capabilities.KubeVersion.Major (.Capabilities.KubeVersion.Minor | replace "+" "") -}}
{{- if eq $source "auto" -}}
{{ ternary "image" "copy" (semverCompare ">=1.35-0" $version) }}
{{- else if and (eq $source "image") (semverCompare "<1.31-0" $version) -}}
{{ fail (printf "llm.model.source is image: Kubernetes %s has no image volumes (1.31 is the first that has); use copy" $version) }}
{{- else -}}
{{ $source }}
{{- end -}}
{{- end -}}

{{/* The port of the registry that has the model. */}}
{{- define "incidentfox.registryPort" -}}
{{- $host := .Values.llm.model.registry | default .Values.global.imageRegistry | splitList "/" | first -}}
{{- if contains ":" $host -}}
{{ $host | splitList ":" | last }}
{{- else -}}
{{ ternary 80 443 .Values.llm.model.copy.plainHttp }}
{{- end -}}
{{- end -}}
