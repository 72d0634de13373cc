//! `WWW-Authenticate`: what a registry asks for (RFC 9110 §11.6.1; distribution-spec token authentication).

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme, in lower case.
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter; names are compared without case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Every challenge in one header value, in order. Parsing stops at the first thing outside the grammar and keeps what was
/// read: a challenge that is not understood leads to "not accepted", never to a guess.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut rest = Cursor(header);
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        rest.skip(|c| c == ',' || c.is_ascii_whitespace());
        let word = rest.token();
        if word.is_empty() {
            return found;
        }
        rest.skip(|c| c == ' ' || c == '\t');
        // `name=value` continues a challenge; a bare word begins one. `token68` data (`Negotiate abc==`) is skipped.
        if rest.eat('=') {
            rest.skip(|c| c == ' ' || c == '\t');
            let Some(value) = rest.value() else { return found };
            match found.last_mut() {
                Some(challenge) => challenge.parameters.push((word.to_owned(), value)),
                None => return found,
            }
        } else {
            found.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
        }
    }
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(unwanted);
    }

    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.0.strip_prefix(wanted);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/:".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }

    /// A token or a quoted string with `\` escapes; `None` when the quote never ends.
    fn value(&mut self) -> Option<String> {
        if !self.eat('"') {
            let end = self.0.find(|c: char| c == ',' || c.is_ascii_whitespace()).unwrap_or(self.0.len());
            let (value, rest) = self.0.split_at(end);
            self.0 = rest;
            return Some(value.to_owned());
        }
        let mut value = String::new();
        let mut characters = self.0.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                c => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_registries_send() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let found = parse(header);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].scheme, "bearer");
        assert_eq!(found[0].get("Realm"), Some("https://auth.docker.io/token"));
        assert_eq!(found[0].get("scope"), Some("repository:a/b:pull,push"));
        assert_eq!(found[0].get("error"), None);
    }

    #[test]
    fn reads_several_challenges_and_odd_spacing() {
        let found =
            parse(r#"Negotiate, Basic realm = "a \"b\", c" ,charset=UTF-8, bearer realm=https://x/token"#);
        let schemes: Vec<&str> = found.iter().map(|c| c.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(found[1].get("realm"), Some(r#"a "b", c"#));
        assert_eq!(found[1].get("charset"), Some("UTF-8"));
        assert_eq!(found[2].get("realm"), Some("https://x/token"));
    }

    #[test]
    fn stops_at_nonsense() {
        for nonsense in
            ["", ",,,", "=", "=\"", "Bearer realm=\"never ends", "a=b", "\u{0}\u{7f}", "Bearer realm=\"\\"]
        {
            assert!(parse(nonsense).iter().all(|c| c.get("realm").is_none()), "{nonsense}");
        }
    }
}
