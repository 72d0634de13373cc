{{/*
The six services, and what each is given beside its own port:
license   the licence, how it is checked, and the validator's configuration
database  PostgreSQL
llm       the address and name of the language model
admin     the first administrator
tools     the customer's integrations
*/}}
{{- define "incidentfox.components" -}}
agent: {name: agent, needs: [license, database, llm, tools]}
configService: {name: config-service, needs: [license, database, admin]}
orchestrator: {name: orchestrator, needs: [license, database, tools]}
webUi: {name: web-ui, needs: []}
aiPipeline: {name: ai-pipeline, needs: [database, llm]}
knowledgeBase: {name: knowledge-base, needs: [database, llm]}
{{- end -}}

{{/* The environment of one service. Call with (dict "root" $ "component" … "service" …). */}}
{{- define "incidentfox.environment" -}}
{{- $values := .root.Values -}}
{{- $fullname := include "incidentfox.fullname" .root -}}
- {name: INCIDENTFOX_VERSION, value: {{ .root.Chart.AppVersion | quote }}}
- {name: PORT, value: {{ .service.port | quote }}}
{{- range $key, $component := include "incidentfox.components" .root | fromYaml }}
- {name: {{ printf "%s_URL" ($component.name | upper | replace "-" "_") }}, value: {{ printf "http://%s-%s:%d" $fullname $component.name (int (index $values.services $key).port) | quote }}}
{{- end }}
{{- if has "license" .component.needs }}
- {name: LICENSE_MODE, value: {{ ternary "offline" "online" $values.global.license.useFile }}}
- {name: LICENSE_CONFIG, value: /etc/incidentfox/validator/validator.yaml}
- {name: LICENSE_FILE, value: {{ printf "/etc/incidentfox/license/%s" $values.global.license.secretKey }}}
{{- end }}
{{- if has "database" .component.needs }}
- {name: DATABASE_HOST, value: {{ include "incidentfox.databaseHost" .root | quote }}}
- {name: DATABASE_PORT, value: {{ $values.global.database.port | quote }}}
- {name: DATABASE_NAME, value: {{ $values.global.database.name | quote }}}
- {name: DATABASE_USER, value: {{ $values.global.database.user | quote }}}
- {name: DATABASE_SSLMODE, value: {{ include "incidentfox.sslMode" .root }}}
- name: DATABASE_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $values.global.database.passwordSecretName }}, key: {{ $values.global.database.passwordSecretKey }}}}
{{- end }}
{{- if has "llm" .component.needs }}
- {name: LLM_PROVIDER, value: {{ ternary "vllm" $values.global.openai.provider $values.llm.enabled }}}
- {name: OPENAI_BASE_URL, value: {{ include "incidentfox.llmUrl" .root | quote }}}
- {name: LLM_MODEL, value: {{ include "incidentfox.llmModel" .root | quote }}}
{{- with $values.global.openai.existingSecret }}
- name: OPENAI_API_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: {{ $values.global.openai.secretKey }}}}
{{- end }}
{{- end }}
{{- if has "admin" .component.needs }}
- {name: ADMIN_EMAIL, value: {{ $values.admin.email | quote }}}
- name: ADMIN_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ $values.admin.existingSecret }}, key: {{ $values.admin.secretKey }}}}
{{- end }}
{{- if has "tools" .component.needs }}
- {name: TELEMETRY_ENABLED, value: {{ $values.telemetry.enabled | quote }}}
{{- if $values.telemetry.enabled }}
- {name: TELEMETRY_ENDPOINT, value: {{ $values.telemetry.endpoint | quote }}}
- {name: TELEMETRY_INTERVAL_MINUTES, value: {{ $values.telemetry.interval_minutes | quote }}}
- {name: TELEMETRY_ANONYMIZE, value: {{ $values.telemetry.anonymize | quote }}}
{{- end }}
{{- end }}
{{- range $name, $value := .service.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}
