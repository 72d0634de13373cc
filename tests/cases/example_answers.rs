//! The worked example's questions and values template, and what is refused of any such pair.

use bundle::release::questions::{Answers, Given, Questions};
use bundle::release::values::{Named, Setting, Values};
use xtask::tools;

use super::example_chart::{documents, folder};
use super::program::tool;

fn questions() -> Questions {
    let text = std::fs::read(folder().join("questions.yaml")).unwrap();
    Questions::parse(&text, "questions.yaml").unwrap()
}

fn template(questions: &Questions) -> Values {
    let text = std::fs::read_to_string(folder().join("values.yaml.j2")).unwrap();
    Values::parse(&text, "values.yaml.j2", questions).unwrap()
}

fn setting() -> Setting {
    let named = Named {
        name: "incidentfox-enterprise".to_owned(),
        version: "1.2.0".to_owned(),
        vendor: "IncidentFox".to_owned(),
    };
    Setting {
        release: named,
        registry: "harbor.acme.internal/mirror".to_owned(),
        namespace: "incidentfox".to_owned(),
        pull_secret: "harbor".to_owned(),
    }
}

fn settle(questions: &Questions, text: &str) -> Result<Answers, String> {
    let given = Given::parse(text.as_bytes(), "answers.yaml").map_err(|error| error.to_string())?;
    questions
        .settle(&given, "answers.yaml")
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

const LEAST: &str = "domain: incidents.acme.internal\nadmin_email: admin@acme.internal\n";

#[test]
fn every_way_through_the_questions_makes_values_that_the_chart_takes() {
    let questions = questions();
    let template = template(&questions);
    let connected = "mode: connected\nlicense_key: IFOX-1\nopenai_key: sk-1\ntelemetry: true\n";
    let existing = "database: existing\ndatabase_host: db.acme.internal\ndatabase_password: x\n";
    let production = "profile: production\ningress: traefik\n";
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("values.yaml");
    for mode in ["", connected] {
        for database in ["", existing] {
            for more in ["", production, "ingress: haproxy\nmodel_source: copy\nstorage_class: fast\n"] {
                if !mode.is_empty() && more.contains("model_source") {
                    continue;
                }
                let answers = settle(&questions, &format!("{LEAST}{mode}{database}{more}")).unwrap();
                let text = template.render(&answers, &setting()).unwrap();
                std::fs::write(&file, &text).unwrap();
                for helm in [tools::helm3().unwrap(), tools::helm4().unwrap()] {
                    let mut command = std::process::Command::new(helm);
                    command.env_clear().env("HOME", scratch.path()).current_dir(folder());
                    command.args([
                        "template",
                        "incidentfox",
                        "chart/incidentfox-enterprise",
                        "--kube-version",
                        "1.34",
                    ]);
                    let rendered = tool(command.arg("--values").arg(&file));
                    let rendered = documents(std::str::from_utf8(&rendered).unwrap());
                    let ingress = rendered.iter().find(|m| m["kind"] == "Ingress").unwrap();
                    assert_eq!(ingress["spec"]["rules"][0]["host"], "incidents.acme.internal");
                    let served = rendered.iter().any(|m| m["metadata"]["name"] == "incidentfox-vllm");
                    assert_eq!(served, mode.is_empty());
                    let inside = rendered.iter().any(|m| m["metadata"]["name"] == "incidentfox-postgres");
                    assert_eq!(inside, database.is_empty());
                }
            }
        }
    }
}

#[test]
fn secrets_stay_out_of_values_and_out_of_sight() {
    let questions = questions();
    let answers =
        settle(&questions, &format!("{LEAST}mode: connected\nlicense_key: hush-1\nopenai_key: hush-2\n"))
            .unwrap();
    let text = template(&questions).render(&answers, &setting()).unwrap();
    assert!(!text.contains("hush") && !format!("{answers:?}").contains("hush"), "{text} {answers:?}");
    let made: Vec<&str> = answers.to_generate().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(made, ["database_new_password", "admin_password"]);
    // One that is refused is not shown either.
    let error = settle(&questions, &format!("{LEAST}admin_password: \"hush\\thush\"\n")).unwrap_err();
    assert!(error.contains("admin_password") && !error.contains("hush"), "{error}");
}

#[test]
fn answers_that_fit_no_question_are_refused_with_file_line_and_field() {
    let questions = questions();
    for (reason, text, said) in [
        ("a typo", "domian: x\n", "answers.yaml:1:9: domian: there is no such question; there is \"domain\""),
        (
            "no answer",
            "admin_email: a@b.c\n",
            "answers.yaml: domain: it has no answer, and needs one: Name under which",
        ),
        ("text for a number", "gpus: \"4\"\n", "answers.yaml:1:7: gpus: \"4\" is no whole number"),
        ("a number out of range", "gpus: 17\n", "gpus: 17 is not from 0 to 16"),
        ("a number for text", "database_name: 5\n", "database_name: 5 is no text"),
        ("a fraction for text", "database_name: 1.10\n", "put it in quotes"),
        ("no option", "ingress: istio\n", "ingress: \"istio\" is none of nginx, traefik, haproxy"),
        ("no host name", "domain: https://x.y/\n", "domain: \"https://x.y/\" is no host name"),
        ("capital letters in a host name", "domain: Acme.internal\n", "is no host name"),
        ("no address", "admin_email: admin\n", "admin_email: \"admin\" is no e-mail address"),
        ("no quantity", "database_size: 100 GB\n", "database_size: \"100 GB\" is no quantity"),
        (
            "a question that is not put",
            "openai_model: x\n",
            "openai_model: it is not asked: that depends on \"mode\", which is air-gapped",
        ),
        ("what became needed", "database: existing\n", "database_host: it has no answer"),
        ("a key twice", "domain: a\ndomain: b\n", "answers.yaml:2:1: the key \"domain\" stands here twice"),
        ("a list", "- domain\n", "answers.yaml"),
        ("yes for true", "mode: connected\ntelemetry: yes\n", "telemetry: \"yes\" is no true or false"),
    ] {
        let error = settle(&questions, text).unwrap_err();
        assert!(error.contains(said), "{reason}: {error}");
    }
}

#[test]
fn questions_that_cannot_be_meant_are_refused_with_file_line_and_field() {
    let head = "apiVersion: bundle/v1\nkind: Questions\nquestions:\n";
    for (reason, text, said) in [
        (
            "an unknown key",
            "  - {variable: a, label: A, type: string, dfault: x}\n",
            "q.yaml:4:43: unknown key \"dfault\"; there is \"default\"",
        ),
        ("an unknown type", "  - {variable: a, label: A, type: text}\n", "\"text\" is none of string, int"),
        ("no variable", "  - {label: A, type: int}\n", "the key \"variable\" is missing"),
        (
            "a name of no variable",
            "  - {variable: a-b, label: A, type: int}\n",
            "q.yaml:4:16: a-b: a variable is",
        ),
        (
            "a default of another type",
            "  - {variable: a, label: A, type: int, default: x}\n",
            "q.yaml:4:49: a: its default is refused: \"x\" is no whole number",
        ),
        (
            "a default that is no option",
            "  - {variable: a, label: A, type: enum, options: [x], default: y}\n",
            "\"y\" is none of x",
        ),
        ("an enum of nothing", "  - {variable: a, label: A, type: enum}\n", "needs the key \"options\""),
        (
            "a secret without a place",
            "  - {variable: a, label: A, type: secret}\n",
            "needs the key \"secret\"",
        ),
        (
            "a default secret",
            "  - {variable: a, label: A, type: secret, secret: {name: x, key: y}, default: z}\n",
            "has no key \"default\"",
        ),
        (
            "the least of a text",
            "  - {variable: a, label: A, type: string, min: 1}\n",
            "a question of type string has no key \"min\"",
        ),
        ("an empty label", "  - {variable: a, label: ' ', type: string}\n", "its label is empty"),
        (
            "twice",
            "  - {variable: a, label: A, type: int}\n  - {variable: a, label: A, type: int}\n",
            "q.yaml:5:16: a: it is asked a second time; the first is at 4:16",
        ),
        (
            "a condition on what comes later",
            "  - {variable: a, label: A, type: int, show-if: {b: 1}}\n  - {variable: b, label: B, type: int}\n",
            "show-if names \"b\"",
        ),
        (
            "a condition that never holds",
            "  - {variable: a, label: A, type: bool}\n  - {variable: b, label: B, type: int, show-if: {a: maybe}}\n",
            "show-if wants an answer of \"a\" that it never has",
        ),
    ] {
        let error = Questions::parse(format!("{head}{text}").as_bytes(), "q.yaml").unwrap_err().to_string();
        assert!(error.contains(said), "{reason}: {error}");
    }
}

#[test]
fn a_template_that_names_what_nothing_gives_is_refused_with_its_line() {
    let questions = questions();
    for (reason, text, said) in [
        (
            "a typo",
            "a: 1\nb: {{ answers.domian }}\n",
            "v.j2:2: \"answers.domian\" is used, and there is no such question; there is \"domain\"",
        ),
        (
            "no question",
            "{{ answers.colour }}",
            "v.j2:1: \"answers.colour\" is used, and there is no such question",
        ),
        ("another name", "{{ registery }}", "v.j2:1: \"registery\" is used, and nothing gives it"),
        (
            "a secret",
            "{{ answers.admin_password }}",
            "v.j2:1: \"answers.admin_password\" is a secret, which never becomes a value",
        ),
        ("no template", "{% if %}", "v.j2:1: syntax error"),
    ] {
        let errors = Values::parse(text, "v.j2", &questions).unwrap_err();
        let said_all = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(said_all.contains(said), "{reason}: {said_all}");
    }
    // Known, but not asked this time, and used all the same.
    let template = Values::parse("x: {{ answers.database_host }}\n", "v.j2", &questions).unwrap();
    let error = template.render(&settle(&questions, LEAST).unwrap(), &setting()).unwrap_err().to_string();
    assert_eq!(error, "v.j2:1: \"answers.database_host\" is used here, and nothing gives it");
    let template = Values::parse("x: [1\n", "v.j2", &questions).unwrap();
    let error = template.render(&settle(&questions, LEAST).unwrap(), &setting()).unwrap_err().to_string();
    assert!(error.contains("values"), "{error}");
}
