//! What names say of the values beside them: `image`, `RELATED_IMAGE_PROXY`, `--config-reloader-image`, `sidecarRepository`.

/// The words of a key, a flag or a variable, in lower case: `baseImageTag`, `--base-image-tag` and `BASE_IMAGE_TAG` are the same.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() {
            previous = ' ';
            continue;
        }
        let begins = previous == ' ' || (c.is_ascii_uppercase() && previous.is_ascii_lowercase());
        match words.last_mut() {
            Some(word) if !begins => word.push(c.to_ascii_lowercase()),
            _ => words.push(c.to_ascii_lowercase().to_string()),
        }
        previous = c;
    }
    words
}

fn ends(words: &[String], tail: &[&str]) -> bool {
    words.len() >= tail.len() && words[words.len() - tail.len()..].iter().zip(tail).all(|(a, b)| a == b)
}

/// Whether a value under this name is an image.
pub(super) fn names_image(name: &str) -> bool {
    let words = words(name);
    let tails: [&[&str]; 8] = [
        &["image"],
        &["images"],
        &["image", "name"],
        &["image", "ref"],
        &["image", "reference"],
        &["image", "url"],
        &["image", "uri"],
        &["image", "reference", "reference"],
    ];
    tails.iter().any(|tail| ends(&words, tail)) || ends(&words[..words.len().min(2)], &["related", "image"])
}

/// Whether something else appends the tag to a value under this name.
pub(super) fn names_repository(name: &str) -> bool {
    let words = words(name);
    ends(&words, &["repository"]) || ends(&words, &["repo"]) || ends(&words, &["base", "image"])
}

/// What part of a reference a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Registry,
    Repository,
    /// `image`: the repository, or what stands after one.
    Image,
    Tag,
    /// A version that may be the tag, and that others read as a version.
    Version,
    Digest,
}

const PARTS: [(&[&str], Part); 21] = [
    (&["image", "registry"], Part::Registry),
    (&["image", "hub"], Part::Registry),
    (&["registry"], Part::Registry),
    (&["hub"], Part::Registry),
    (&["image", "repository"], Part::Repository),
    (&["image", "repo"], Part::Repository),
    (&["repository"], Part::Repository),
    (&["repo"], Part::Repository),
    (&["base", "image"], Part::Repository),
    (&["image", "name"], Part::Image),
    (&["image", "tag"], Part::Tag),
    (&["image", "version"], Part::Version),
    (&["image", "digest"], Part::Digest),
    (&["image", "sha256"], Part::Digest),
    (&["image", "sha"], Part::Digest),
    (&["image"], Part::Image),
    (&["tag"], Part::Tag),
    (&["version"], Part::Version),
    (&["digest"], Part::Digest),
    (&["sha256"], Part::Digest),
    (&["sha"], Part::Digest),
];

/// The part a key holds, and of which image: what is left of its words, as a text.
pub(super) fn part(name: &str) -> Option<(String, Part)> {
    let words = words(name);
    let (tail, part) = PARTS.iter().find(|(tail, _)| ends(&words, tail))?;
    Some((words[..words.len() - tail.len()].join(" "), *part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_whatever_their_spelling() {
        for name in [
            "image",
            "Image",
            "SIDECAR_IMAGE",
            "--proxy-image",
            "proxyImage",
            "RELATED_IMAGE_X",
            "images",
            "imageName",
        ] {
            assert!(names_image(name), "{name}");
        }
        for name in
            ["imagePullPolicy", "IMAGE_TAG", "imageRepository", "image-gc-high-threshold", "mage", "imagine"]
        {
            assert!(!names_image(name), "{name}");
        }
        for (name, of, wanted) in [
            ("repository", "", Part::Repository),
            ("sidecarImageTag", "sidecar", Part::Tag),
            ("SIDECAR_IMAGE_REPOSITORY", "sidecar", Part::Repository),
            ("imageRegistry", "", Part::Registry),
            ("hub", "", Part::Registry),
            ("sidecarVersion", "sidecar", Part::Version),
        ] {
            assert_eq!(part(name), Some((of.to_owned(), wanted)), "{name}");
        }
        assert_eq!(part("storage"), None);
    }
}
