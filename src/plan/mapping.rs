//! Where each name goes in the customer's registry.
//!
//! 06-release: `docker.io/incidentfox/agent:v1` becomes `HOST/PREFIX/incidentfox/agent:v1`; `--map FROM=TO` rules move parts of
//! the tree, `--flatten` folds a path into one name for registries with shallow paths.

use crate::oci::reference::ReferenceError;
use crate::oci::{LocalName, Reference, Repository};

/// How references are moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    registry: String,
    prefix: Option<String>,
    rules: Vec<(String, String)>,
    flatten: bool,
}

/// A mapping that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The destination is not `HOST[/PREFIX]`.
    #[error("\"{0}\" is not HOST or HOST/PREFIX")]
    Destination(String),
    /// The rule is not `FROM=TO`.
    #[error("\"{0}\" is not a rule FROM=TO")]
    Rule(String),
    /// Two rules for the same names.
    #[error("two rules move {from}: to {first} and to {second}")]
    Twice {
        /// What both move.
        from: String,
        /// Where one of them moves it.
        first: String,
        /// Where the other does.
        second: String,
    },
    /// A mapped name breaks the grammar.
    #[error("{from} cannot be mapped: {source}")]
    Name {
        /// Which reference.
        from: String,
        /// What breaks.
        source: ReferenceError,
    },
    /// Two references would get the same name.
    #[error("{first} and {second} would both become {to}")]
    Clash {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The name.
        to: String,
    },
}

impl Mapping {
    /// A mapping to `destination` (`HOST[:PORT][/PREFIX]`) with `rules` (`FROM=TO`, the longest match wins).
    pub fn new(destination: &str, rules: &[String], flatten: bool) -> Result<Self, MappingError> {
        // What stands before an @ may be a password.
        let shown =
            destination.rsplit_once('@').map_or(destination.to_owned(), |(_, host)| format!("…@{host}"));
        let bad = || MappingError::Destination(shown.chars().take(200).collect());
        let (registry, prefix) = match destination.trim_end_matches('/').split_once('/') {
            Some((registry, prefix)) => (registry, Some(prefix.to_owned())),
            None => (destination.trim_end_matches('/'), None),
        };
        Repository::new(registry, prefix.as_deref().unwrap_or("x")).map_err(|_| bad())?;
        let mut parsed = Vec::new();
        for rule in rules {
            let (from, to) = rule
                .split_once('=')
                .filter(|(from, _)| !from.is_empty())
                .ok_or_else(|| MappingError::Rule(rule.chars().take(200).collect()))?;
            parsed.push((from.trim_matches('/').to_owned(), to.trim_matches('/').to_owned()));
        }
        parsed.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        parsed.dedup();
        if let Some(pair) = parsed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let (from, first, second) = (pair[0].0.clone(), pair[0].1.clone(), pair[1].1.clone());
            return Err(MappingError::Twice { from, first, second });
        }
        Ok(Self { registry: registry.to_owned(), prefix, rules: parsed, flatten })
    }

    /// Host and port of the destination.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Where `reference` goes.
    pub fn map(&self, reference: &Reference) -> Result<Reference, MappingError> {
        let full = reference.repository().to_string();
        self.repository(&[&full, reference.repository().path()])
            .and_then(|repository| Reference::new(repository, reference.tag(), reference.digest()))
            .map_err(|source| MappingError::Name { from: reference.to_string(), source })
    }

    /// Where a chart or a model goes.
    pub fn map_local(&self, name: &LocalName) -> Result<Reference, MappingError> {
        self.repository(&[name.path()])
            .and_then(|repository| name.within(repository))
            .map_err(|source| MappingError::Name { from: name.to_string(), source })
    }

    /// The rules that move none of these: a name mistyped, or of another release.
    #[must_use]
    pub fn idle<'a>(
        &self,
        images: impl IntoIterator<Item = &'a Reference>,
        local: &[LocalName],
    ) -> Vec<String> {
        let mut used = vec![false; self.rules.len()];
        let mut mark = |names: &[&str]| {
            if let Some(number) = self.rules.iter().position(|(from, _)| rest(from, names).is_some()) {
                used[number] = true;
            }
        };
        for image in images {
            mark(&[&image.repository().to_string(), image.repository().path()]);
        }
        local.iter().for_each(|name| mark(&[name.path()]));
        let idle = self.rules.iter().zip(used).filter(|(_, used)| !used);
        idle.map(|((from, to), _)| format!("{from}={to}")).collect()
    }

    /// The repository for what goes by `names`, of which rules may name any; the last one is its path below a registry.
    fn repository(&self, names: &[&str]) -> Result<Repository, ReferenceError> {
        let moved = self.rules.iter().find_map(|(from, to)| {
            let rest = rest(from, names)?;
            Some(match (rest.is_empty(), to.is_empty()) {
                (true, _) => to.clone(),
                (false, true) => rest.to_owned(),
                (false, false) => format!("{to}/{rest}"),
            })
        });
        let mut path = moved.unwrap_or_else(|| names.last().copied().unwrap_or_default().to_owned());
        if self.flatten {
            path = path.replace('/', "-");
        }
        if let Some(prefix) = &self.prefix {
            path = format!("{prefix}/{path}");
        }
        Repository::new(&self.registry, &path)
    }
}

/// What a rule for `from` leaves of one of `names`; `None` where it is not about any.
fn rest<'a>(from: &str, names: &[&'a str]) -> Option<&'a str> {
    names.iter().find_map(|name| {
        let rest = name.strip_prefix(from)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_moved_as_documented() {
        let rules =
            ["docker.io/incidentfox=fox".to_owned(), "docker.io/incidentfox/agent=special/agent".to_owned()];
        for (destination, rules, flatten, from, to) in [
            ("h.io", &[][..], false, "docker.io/incidentfox/agent:v1", "h.io/incidentfox/agent:v1"),
            ("h.io:5000/p/q", &[], false, "redis:7", "h.io:5000/p/q/library/redis:7"),
            ("h.io/p/", &[], true, "ghcr.io/a/b/c:1", "h.io/p/a-b-c:1"),
            ("h.io", &rules, false, "docker.io/incidentfox/web:1", "h.io/fox/web:1"),
            ("h.io", &rules, false, "docker.io/incidentfox/agent:1", "h.io/special/agent:1"),
            ("h.io", &rules, false, "docker.io/incidentfoxes/agent:1", "h.io/incidentfoxes/agent:1"),
        ] {
            let mapping = Mapping::new(destination, rules, flatten).unwrap();
            assert_eq!(mapping.map(&from.parse().unwrap()).unwrap().to_string(), to);
        }
    }

    #[test]
    fn charts_and_models_go_below_the_prefix() {
        let chart = LocalName::chart("redis", "1.2.0+b5").unwrap();
        for (destination, rule, flatten, to) in [
            ("h.io", None, false, "h.io/charts/redis:1.2.0_b5"),
            ("h.io/p", None, false, "h.io/p/charts/redis:1.2.0_b5"),
            ("h.io/p", None, true, "h.io/p/charts-redis:1.2.0_b5"),
            ("h.io", Some("charts=helm"), false, "h.io/helm/redis:1.2.0_b5"),
            ("h.io", Some("docker.io/charts=helm"), false, "h.io/charts/redis:1.2.0_b5"),
        ] {
            let rules: Vec<String> = rule.into_iter().map(str::to_owned).collect();
            let mapping = Mapping::new(destination, &rules, flatten).unwrap();
            assert_eq!(mapping.map_local(&chart).unwrap().to_string(), to);
        }
    }

    #[test]
    fn rules_that_move_nothing_are_told() {
        let rules = ["docker.io/a=b", "charts=helm", "docker.io/incidentfox/agents=x"].map(str::to_owned);
        let mapping = Mapping::new("h.io", &rules, false).unwrap();
        let image: Reference = "docker.io/a/x:1".parse().unwrap();
        let chart = LocalName::chart("redis", "1.2.0").unwrap();
        assert_eq!(mapping.idle([&image], &[chart]), ["docker.io/incidentfox/agents=x"]);
        assert_eq!(mapping.idle([], &[]).len(), 3);
    }

    #[test]
    fn destinations_are_checked() {
        for bad in ["", "/x", "http://h.io", "h.io/UPPER", "h.io//x", "h io"] {
            assert!(Mapping::new(bad, &[], false).is_err(), "{bad}");
        }
        assert!(Mapping::new("h.io", &["x".to_owned()], false).is_err());
        let rules = |rules: [&str; 2]| Mapping::new("h.io", &rules.map(str::to_owned), false);
        assert!(matches!(rules(["a=b", "/a/=c"]), Err(MappingError::Twice { .. })));
        assert_eq!(rules(["a=b", "a=b"]).unwrap().rules.len(), 1);
    }
}
