//! Passwords and keys never appear in a message, whoever wrote it.

/// The values of the properties that hold secrets.
#[derive(Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(properties: &[(String, String)]) -> Secrets {
        let mut values: Vec<String> = properties
            .iter()
            .filter(|(name, value)| secret(name) && !value.is_empty())
            .map(|(_, v)| v.clone())
            .collect();
        // The longer first: one secret may be the beginning of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Secrets(values)
    }

    pub(super) fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, value| text.replace(value.as_str(), "***"))
    }
}

fn secret(name: &str) -> bool {
    ["password", "secret", ".pem", "oauthbearer.config", "token"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_else_is() {
        let pairs =
            [("sasl.password", "hunter2"), ("ssl.key.password", "hunter22"), ("sasl.username", "ann"), ("x", "")];
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        let hidden = Secrets::of(&pairs).hide("ann said hunter22, then hunter2");
        assert_eq!(hidden, "ann said ***, then ***");
    }
}
