//! Which registries have no referrers API, so that each is asked once and not for every manifest.
//!
//! distribution-spec, §Listing Referrers: a registry that has the API "MUST NOT return a 404" to it, and answers with an empty list for a
//! digest it has never seen. So one 404 about a repository that is there, and that does not speak of the repository, tells of the registry.
//! One host can front several registries, though: the products that do (proxy caches, virtual repositories) tell them apart by the
//! beginning of the path. What is learned holds for repositories that differ in the last part of their path alone, and not where another
//! answer was seen before.
//!
//! May not: take a refusal that is about a repository or a digest for one that is about the API.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Error;
use crate::oci::{Descriptor, Repository};

/// What a registry lists about a manifest.
pub(super) enum Listed {
    /// These; perhaps none.
    These(Vec<Descriptor>),
    /// It has no such list.
    NoApi {
        /// Whether that is said of the API and not of what was asked for.
        everywhere: bool,
    },
}

/// What is known of one place.
#[derive(Clone, Copy, Default)]
enum Known {
    /// Nothing was asked yet.
    #[default]
    Nothing,
    /// Each question must be asked.
    Ask,
    /// There is no API.
    NoApi,
}

/// Host, and path without its last part.
type Place = (String, String);

/// What is known of each place.
#[derive(Default)]
pub(super) struct Apis(Mutex<HashMap<Place, Arc<Mutex<Known>>>>);

impl Apis {
    /// What `question` finds, or what is known already. The first question about a place is asked alone.
    pub(super) fn ask(
        &self,
        repository: &Repository,
        question: impl FnOnce() -> Result<Listed, Error>,
    ) -> Result<Listed, Error> {
        let place = self.place(repository);
        let mut known = lock(&place);
        match *known {
            Known::NoApi => Ok(Listed::NoApi { everywhere: true }),
            Known::Ask => {
                drop(known);
                question()
            }
            Known::Nothing => {
                let listed = question()?;
                *known = match listed {
                    Listed::NoApi { everywhere: true } => Known::NoApi,
                    _ => Known::Ask,
                };
                Ok(listed)
            }
        }
    }

    fn place(&self, repository: &Repository) -> Arc<Mutex<Known>> {
        let parent = repository.path().rsplit_once('/').map_or("", |(parent, _)| parent);
        let mut places = lock(&self.0);
        Arc::clone(places.entry((repository.registry().to_owned(), parent.to_owned())).or_default())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Asks about each repository in turn, and counts the questions that were let through.
    fn asked(apis: &Apis, answers: &[(&str, Option<bool>)]) -> usize {
        let mut asked = 0;
        for (path, answer) in answers {
            let repository = Repository::new("registry.example", path).unwrap();
            let question = || {
                asked += 1;
                Ok(match answer {
                    None => Listed::These(Vec::new()),
                    Some(everywhere) => Listed::NoApi { everywhere: *everywhere },
                })
            };
            let listed = apis.ask(&repository, question).unwrap();
            assert_eq!(matches!(listed, Listed::These(_)), answer.is_none(), "{path}");
        }
        asked
    }

    #[test]
    fn no_api_is_learned_once_for_each_beginning_of_the_path() {
        let no = Some(true);
        assert_eq!(
            asked(&Apis::default(), &[("a/x", no), ("a/y", no), ("a/y/z", no), ("b/x", no), ("b", no)]),
            2
        );
        assert_eq!(asked(&Apis::default(), &[("proxy/x", no), ("local/x", None), ("local/x", None)]), 3);
    }

    #[test]
    fn one_repository_without_a_list_says_nothing_of_others() {
        assert_eq!(asked(&Apis::default(), &[("a/x", Some(false)), ("a/y", None), ("a/x", Some(true))]), 3);
        assert_eq!(asked(&Apis::default(), &[("a/x", None), ("a/y", Some(true)), ("a/z", None)]), 3);
    }

    #[test]
    fn a_question_that_failed_teaches_nothing() {
        let apis = Apis::default();
        let repository = Repository::new("registry.example", "a/x").unwrap();
        assert!(apis.ask(&repository, || Err(Error::Setup { why: "away".into() })).is_err());
        assert_eq!(asked(&apis, &[("a/x", None), ("a/x", None)]), 2);
    }
}
