//! The questions of a release, put to whoever sits at the terminal: one by one, with a way back, and all answers once more before anything
//! happens.

use std::collections::BTreeMap;
use std::fmt;

use dialoguer::theme::Theme;
use dialoguer::{Input, Password, Select};
use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::secrets::guarded;
use crate::cli::ui::{Paint, Ui, clean};
use crate::release::questions::flow::Flow;
use crate::release::questions::{Answer, Answers, Given, Kind, Question, Questions};

/// What goes back to the question before.
const BACK: &str = "<";

/// Puts the questions; `None` when whoever was asked decides to leave it. `before` are earlier answers, which are proposed.
pub(super) fn ask(
    ui: &Ui,
    questions: &Questions,
    before: &BTreeMap<String, Value>,
) -> Result<Option<Given>, Failure> {
    let mut flow = Flow::new(questions, before);
    ui.say(&format!("{} questions at most; Enter takes what is proposed, {BACK} goes back, Ctrl-C leaves with nothing done", questions.questions.len()));
    loop {
        while let Some(question) = flow.next() {
            let proposal = flow.proposal(question);
            match put(ui, question, proposal.as_deref())? {
                Said::Back => {
                    if !flow.back() {
                        ui.say("this is the first question");
                    }
                }
                Said::Text(text) => {
                    if let Err(error) = flow.answer(&text) {
                        ui.warn(&error.to_string());
                    }
                }
            }
        }
        match review(ui, &flow)? {
            Review::Go => return Ok(Some(flow.given())),
            Review::Leave => return Ok(None),
            Review::Again(variable) => flow.back_to(&variable),
        }
    }
}

enum Said {
    Text(String),
    Back,
}

fn put(ui: &Ui, question: &Question, proposal: Option<&str>) -> Result<Said, Failure> {
    if !question.help.is_empty() {
        ui.say(&question.help);
    }
    let label = clean(&question.label);
    let choose = |options: Vec<String>, values: Vec<String>| -> Result<Said, Failure> {
        let mut items: Vec<String> = options.iter().map(|option| clean(option)).collect();
        items.push(format!("{BACK} back"));
        let at = values.iter().position(|value| Some(value.as_str()) == proposal).unwrap_or(0);
        let chosen = guarded(|| Select::new().with_prompt(&label).items(&items).default(at).interact())
            .map_err(|error| gone(&error))?;
        Ok(values.get(chosen).map_or(Said::Back, |value| Said::Text(value.clone())))
    };
    match &question.kind {
        Kind::Choice(options) => choose(options.clone(), options.clone()),
        Kind::Flag => choose(vec!["yes".into(), "no".into()], vec!["true".into(), "false".into()]),
        Kind::Secret => {
            let optional = !question.required || question.generate.is_some();
            let prompt = if optional { format!("{label} (empty: {})", unsaid(question)) } else { label };
            let text = guarded(|| Password::new().with_prompt(&prompt).allow_empty_password(true).interact());
            Ok(said(text.map_err(|error| gone(&error))?))
        }
        _ => {
            let mut input = Input::<String>::new().with_prompt(&label).allow_empty(true);
            if let Some(proposal) = proposal.filter(|proposal| !proposal.is_empty()) {
                input = input.default(clean(proposal));
            }
            Ok(said(guarded(|| input.interact_text()).map_err(|error| gone(&error))?))
        }
    }
}

fn unsaid(question: &Question) -> &'static str {
    if question.generate.is_some() { "one is made, or the one that was made stays" } else { "none" }
}

fn said(text: String) -> Said {
    if text.trim() == BACK { Said::Back } else { Said::Text(text) }
}

fn gone(error: &dialoguer::Error) -> Failure {
    Failure::usage("no_answer", format!("nobody can be asked any more: {error}"))
        .hint("give the answers in a file: --answers FILE")
}

enum Review {
    Go,
    Leave,
    Again(String),
}

fn review(ui: &Ui, flow: &Flow<'_>) -> Result<Review, Failure> {
    let answers = flow.answers();
    let asked: Vec<&Question> = flow.asked().collect();
    let width = asked.iter().map(|question| question.label.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for question in &asked {
        let space = " ".repeat(width - question.label.chars().count());
        text.push_str(&format!(
            "  {}{space}  {}\n",
            clean(&question.label),
            clean(&shown(question, &answers))
        ));
    }
    ui.aside(&text);
    let mut items =
        vec!["go on: plan it, and show the plan".to_owned(), "leave, with nothing done".to_owned()];
    items.extend(asked.iter().map(|question| format!("change: {}", clean(&question.label))));
    let chosen = guarded(|| {
        Select::new().with_prompt("These are the answers").items(&items).default(0).max_length(12).interact()
    });
    Ok(match chosen.map_err(|error| gone(&error))? {
        0 => Review::Go,
        1 => Review::Leave,
        other => {
            asked.get(other - 2).map_or(Review::Leave, |question| Review::Again(question.variable.clone()))
        }
    })
}

/// An answer as it may be shown.
pub(super) fn shown(question: &Question, answers: &Answers) -> String {
    match answers.get(&question.variable) {
        Some(Answer::Secret(_)) => "(given)".to_owned(),
        Some(Answer::Text(text)) if text.is_empty() => "(empty)".to_owned(),
        Some(Answer::Flag(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
        Some(answer) => answer.to_string(),
        None if question.generate.is_some() => "(made, or the one that was made)".to_owned(),
        None => "(none)".to_owned(),
    }
}

/// A prompt that ends in its own mark.
struct AsItIs;

impl Theme for AsItIs {
    fn format_select_prompt(&self, out: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        write!(out, "{prompt}")
    }

    fn format_select_prompt_selection(
        &self,
        out: &mut dyn fmt::Write,
        prompt: &str,
        chosen: &str,
    ) -> fmt::Result {
        write!(out, "{prompt} {chosen}")
    }
}

/// Whether to do it.
pub(in crate::cli) fn confirm(paint: Paint, what: &str) -> Result<bool, Failure> {
    let items = ["no, leave with nothing done", "yes"];
    let prompt = paint.bold(what);
    let chosen =
        guarded(|| Select::with_theme(&AsItIs).with_prompt(prompt).items(items).default(0).interact())
            .map_err(|error| gone(&error))?;
    Ok(chosen == 1)
}
