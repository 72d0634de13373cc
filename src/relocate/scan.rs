//! The one scanner: every scalar of a rendered manifest is looked at, and what may name an image is a [`Sighting`].
//!
//! Discovery and rewriting read the same sightings, so what the one finds the other rewrites. Texts inside texts (a ConfigMap that
//! holds YAML, an annotation that holds JSON) are read as what they are, at most [`limits::NESTED_TEXTS`] deep.

use std::borrow::Cow;
use std::ops::Range;

use super::keys;
use super::known::{Known, Match};
use super::split::{self, Split};
use super::word::{self, Around, Certainty, Name};
use crate::chart::rendered::source;
use crate::limits;
use crate::release::yaml::tree::{self, Node, Scalar, Style, TreeError};

/// A place that may name an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting<'k> {
    /// What it names.
    pub name: Name,
    /// How sure that is.
    pub certainty: Certainty,
    /// What it is to the release.
    pub what: Match<'k>,
    /// The template it was rendered from, where the text says so.
    pub template: Option<String>,
    /// Its line in the text, from 1.
    pub line: usize,
    /// Where in its document: `spec.containers[0].image`.
    pub path: String,
    /// As it is written.
    pub text: String,
    pub(super) shape: Shape,
}

/// How a reference is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// In one piece.
    Word(Field),
    /// In parts, each a scalar.
    Split(Box<Split>),
}

/// Some bytes of the text that can be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    /// Where.
    pub range: Range<usize>,
    /// What it says there.
    pub value: String,
    /// Where a text that begins with a bracket would be read as a list.
    pub bare: bool,
}

/// Everything in `text`, a stream of rendered manifests, that may name an image: what is certain, what is possible, and of what is
/// neither only what `known` knows.
///
/// # Errors
/// [`TreeError`] when it is not YAML.
pub fn scan<'k>(text: &str, known: &'k Known) -> Result<Vec<Sighting<'k>>, TreeError> {
    let documents = tree::documents(text)?;
    let hosts = |host: &str| known.has_registry(host);
    let mut scanner =
        Scanner { known, hosts: &hosts, found: Vec::new(), template: None, lines: Lines::of(text) };
    let frame = Frame { text, outer: None };
    let mut file = None;
    for document in &documents {
        file = text.get(document.start..).and_then(source).or(file);
        if let Some(root) = &document.root {
            scanner.template = file.map(ToOwned::to_owned).or_else(|| annotated(root));
            scanner.document(root, &frame);
        }
    }
    scanner.found.sort_by_key(|sighting| sighting.line);
    Ok(scanner.found)
}

/// What Helm 4 writes into documents before it gives them to a post-renderer, which sees no comments of Helm's.
fn annotated(root: &Node<'_>) -> Option<String> {
    let annotations = root.get("metadata")?.get("annotations")?;
    Some(annotations.get("postrenderer.helm.sh/postrender-filename")?.text()?.to_owned())
}

/// A text, and the scalar of the outer text that it is the value of.
pub(super) struct Frame<'f> {
    text: &'f str,
    outer: Option<(&'f Frame<'f>, &'f Scalar<'f>)>,
}

impl Frame<'_> {
    fn depth(&self) -> usize {
        self.outer.map_or(0, |(outer, _)| outer.depth() + 1)
    }

    /// Bytes of the outermost text.
    fn outermost(&self, range: Range<usize>) -> Option<Range<usize>> {
        match self.outer {
            None => Some(range),
            Some((outer, scalar)) => outer.outermost(scalar.place(&range, outer.text)?),
        }
    }

    /// The word `range` of the value of `scalar`, in the outermost text.
    pub(super) fn field(&self, scalar: &Scalar<'_>, range: &Range<usize>) -> Option<Field> {
        let place = scalar.place(range, self.text)?;
        let value = scalar.value.get(range.clone())?.to_owned();
        Some(Field {
            range: self.outermost(place)?,
            value,
            bare: scalar.style == Style::Plain && range.start == 0,
        })
    }
}

/// Where a node stands.
#[derive(Clone)]
struct Here<'h> {
    path: Cow<'h, str>,
    key: Option<&'h str>,
    container: bool,
    machine: bool,
    nested: bool,
    schema: bool,
}

struct Scanner<'k, 's> {
    known: &'k Known,
    hosts: &'s dyn Fn(&str) -> bool,
    found: Vec<Sighting<'k>>,
    template: Option<String>,
    lines: Lines,
}

/// Keys whose values select objects, and cannot hold a reference.
const SELECTORS: [&str; 4] = ["labels", "matchLabels", "nodeSelector", "matchExpressions"];
/// Keys of a schema that are prose.
const PROSE: [&str; 7] =
    ["description", "title", "example", "examples", "externalDocs", "pattern", "x-kubernetes-validations"];
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
const MACHINE: [&str; 3] = ["args", "command", "env"];

impl<'k> Scanner<'k, '_> {
    fn document(&mut self, root: &Node<'_>, frame: &Frame<'_>) {
        let kind = root.get("kind").and_then(Node::text).unwrap_or("");
        let here = Here {
            path: Cow::Borrowed(""),
            key: None,
            container: false,
            machine: false,
            nested: frame.outer.is_some(),
            schema: kind == "CustomResourceDefinition",
        };
        self.node(root, frame, &here);
    }

    fn node(&mut self, node: &Node<'_>, frame: &Frame<'_>, here: &Here<'_>) {
        match node {
            Node::Scalar(scalar) => self.leaf(scalar, frame, here),
            Node::List(items) => self.list(items, frame, here),
            Node::Map(entries) => self.map(entries, frame, here),
            Node::Alias => {}
        }
    }

    fn list(&mut self, items: &[Node<'_>], frame: &Frame<'_>, here: &Here<'_>) {
        let variables: Vec<(&str, &Scalar<'_>)> = items.iter().filter_map(variable).collect();
        let taken =
            if variables.len() == items.len() { self.split(&variables, frame, here) } else { Vec::new() };
        let mut flag: Option<&str> = None;
        for (at, item) in items.iter().enumerate() {
            let path = Cow::Owned(format!("{}[{at}]", here.path));
            if variable(item).is_some_and(|(_, value)| taken.contains(&value.source)) {
                continue;
            }
            let container =
                here.key.is_some_and(|key| CONTAINERS.contains(&key)) && matches!(item, Node::Map(_));
            let key = flag.filter(|_| item.text().is_some()).or(here.key);
            self.node(item, frame, &Here { path, key, container, ..here.clone() });
            flag = item.text().filter(|text| text.starts_with('-') && !text.contains(['=', ' ']));
        }
    }

    fn map(&mut self, entries: &[(Node<'_>, Node<'_>)], frame: &Frame<'_>, here: &Here<'_>) {
        let fields: Vec<(&str, &Scalar<'_>)> =
            entries.iter().filter_map(|(key, value)| Some((key.text()?, value.scalar()?))).collect();
        let taken = if here.schema { Vec::new() } else { self.split(&fields, frame, here) };
        let named = entries
            .iter()
            .find_map(|(key, value)| (key.text() == Some("name")).then(|| value.text()).flatten());
        for (key, value) in entries {
            let name = key.text().unwrap_or("");
            if SELECTORS.contains(&name) || (here.schema && PROSE.contains(&name)) {
                continue;
            }
            if value.scalar().is_some_and(|value| taken.contains(&value.source)) {
                continue;
            }
            if let Node::Scalar(key) = key {
                self.words(key, frame, &here.path, &Around { is_key: true, ..Around::default() });
            }
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            let path = match (here.path.is_empty(), plain) {
                (true, true) => name.to_owned(),
                (false, true) => format!("{}.{name}", here.path),
                (_, false) => format!("{}[{name:?}]", here.path),
            };
            // A variable's value is known by the variable's name.
            let key = if name == "value" && named.is_some() { named } else { Some(name) };
            let volume = name == "reference" && here.key == Some("image");
            self.node(
                value,
                frame,
                &Here {
                    path: Cow::Owned(path),
                    key: if here.schema && name == "default" { here.key } else { key },
                    container: (here.container && name == "image" || volume) && value.scalar().is_some(),
                    machine: here.machine || MACHINE.contains(&name),
                    nested: here.nested,
                    schema: here.schema,
                },
            );
        }
    }

    fn leaf(&mut self, scalar: &Scalar<'_>, frame: &Frame<'_>, here: &Here<'_>) {
        let text = scalar.value.as_ref();
        let begin = text.trim_start();
        let structured = text.trim_end().contains('\n') || begin.starts_with(['{', '[']);
        if structured && frame.depth() < limits::NESTED_TEXTS {
            let inner = tree::documents(text).ok().filter(|documents| {
                let mut roots = documents.iter().filter_map(|document| document.root.as_ref()).peekable();
                roots.peek().is_some() && roots.all(|root| root.scalar().is_none())
            });
            if let Some(documents) = inner {
                let frame = Frame { text, outer: Some((frame, scalar)) };
                for root in documents.iter().filter_map(|document| document.root.as_ref()) {
                    let schema = root.get("kind").and_then(Node::text) == Some("CustomResourceDefinition");
                    let machine = here.machine && root.get("kind").is_none();
                    self.node(
                        root,
                        &frame,
                        &Here { container: false, machine, nested: true, schema, ..here.clone() },
                    );
                }
                return;
            }
        }
        let around = Around {
            key: here.key,
            container: here.container,
            machine: here.machine,
            nested: here.nested,
            is_key: false,
        };
        self.words(scalar, frame, &here.path, &around);
    }

    fn words(&mut self, scalar: &Scalar<'_>, frame: &Frame<'_>, path: &str, around: &Around<'_>) {
        for word in word::find(&scalar.value, around, self.hosts) {
            let what = match &word.name {
                Name::Image { reference, bare } => self.known.find(reference, *bare),
                Name::Repository(repository) => self.known.find_repository(repository),
                Name::Fragment(_) => Match::Unknown,
            };
            if word.certainty == Certainty::Weak && matches!(what, Match::Unknown | Match::OtherContent(_)) {
                continue;
            }
            if let Some(field) = frame.field(scalar, &word.range) {
                self.add((word.name, word.certainty, what), path, Shape::Word(field));
            }
        }
    }

    /// References in parts among `fields`; gives the places of the scalars that are such parts.
    fn split(
        &mut self,
        fields: &[(&str, &Scalar<'_>)],
        frame: &Frame<'_>,
        here: &Here<'_>,
    ) -> Vec<Range<usize>> {
        let mut taken = Vec::new();
        if fields.len() < 2 && !here.key.is_some_and(keys::names_image) {
            return taken;
        }
        for group in split::groups(fields, here.key, self.hosts) {
            let what = match &group.name {
                Name::Image { reference, bare } => self.known.find(reference, *bare),
                Name::Repository(repository) => self.known.find_repository(repository),
                Name::Fragment(_) => Match::Unknown,
            };
            if group.certainty == Certainty::Weak && matches!(what, Match::Unknown | Match::OtherContent(_)) {
                continue;
            }
            let Some(split) = group.fields(fields, frame) else { continue };
            taken.extend(
                group.members().filter_map(|at| fields.get(at)).map(|(_, scalar)| scalar.source.clone()),
            );
            self.add((group.name, group.certainty, what), &here.path, Shape::Split(Box::new(split)));
        }
        taken
    }

    fn add(&mut self, (name, certainty, what): (Name, Certainty, Match<'k>), path: &str, shape: Shape) {
        let (at, text) = match &shape {
            Shape::Word(field) => (field.range.start, field.value.clone()),
            Shape::Split(split) => (split.repository.range.start, split.text()),
        };
        let line = self.lines.of_byte(at);
        let path = path.to_owned();
        self.found.push(Sighting {
            name,
            certainty,
            what,
            template: self.template.clone(),
            line,
            path,
            text,
            shape,
        });
    }
}

/// Name and value of an environment variable.
fn variable<'n>(node: &'n Node<'n>) -> Option<(&'n str, &'n Scalar<'n>)> {
    Some((node.get("name")?.text()?, node.get("value")?.scalar()?))
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    fn of_byte(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at) + 1
    }
}
