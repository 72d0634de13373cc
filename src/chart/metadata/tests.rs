//! `Chart.yaml` as Helm reads it, and the configuration that is made of it.
#![allow(clippy::unwrap_used)]

use super::*;

const WHOLE: &str = r#"
apiVersion: v2
name: shop
version: 1.2.0+build.5
appVersion: 1.10
description: "A <shop> & more"
kubeVersion: ">=1.24.0-0"
type: application
home: https://shop.example
sources: [https://git.example/shop]
keywords: [shop, 7]
icon: null
deprecated: true
maintainers:
- {name: Ann, email: ann@shop.example}
- {name: Ben}
annotations:
  artifacthub.io/images: |
    - name: web
      image: docker.io/shop/web:1.2.0
  org.opencontainers.image.title: not this
  count: 3
dependencies:
- name: db
  version: ^1.0.0
  repository: https://charts.example
  condition: db.enabled
  tags: [backend]
  import-values: [data, {parent: a, child: b}]
  alias: store
unknown: {deep: [1]}
"#;

fn parse(text: &str) -> Result<Metadata, String> {
    Metadata::parse(text.as_bytes(), "shop/Chart.yaml").map_err(|error| error.to_string())
}

#[test]
fn the_configuration_is_what_helm_writes() {
    let metadata = parse(WHOLE).unwrap();
    assert_eq!(
        metadata.config(),
        concat!(
            r#"{"name":"shop","home":"https://shop.example","sources":["https://git.example/shop"],"version":"1.2.0+build.5","#,
            r#""description":"A \u003cshop\u003e \u0026 more","keywords":["shop","7"],"#,
            r#""maintainers":[{"name":"Ann","email":"ann@shop.example"},{"name":"Ben"}],"apiVersion":"v2","appVersion":"1.1","#,
            r#""deprecated":true,"annotations":{"artifacthub.io/images":"- name: web\n  image: docker.io/shop/web:1.2.0\n","count":"3","#,
            r#""org.opencontainers.image.title":"not this"},"kubeVersion":"\u003e=1.24.0-0","#,
            r#""dependencies":[{"name":"db","version":"^1.0.0","repository":"https://charts.example","condition":"db.enabled","#,
            r#""tags":["backend"],"import-values":["data",{"child":"b","parent":"a"}],"alias":"store"}],"type":"application"}"#,
        )
    );
    let annotations = metadata.manifest_annotations();
    assert_eq!(annotations["org.opencontainers.image.title"], "shop");
    assert_eq!(annotations["org.opencontainers.image.authors"], "Ann (ann@shop.example), Ben");
    assert_eq!(annotations["org.opencontainers.image.source"], "https://git.example/shop");
    assert!(annotations.contains_key("artifacthub.io/images"));
    assert!(!annotations.contains_key("org.opencontainers.image.created"));
}

#[test]
fn what_no_chart_can_say_is_refused() {
    for (text, said) in [
        ("name: shop\n", "the key \"version\" is missing"),
        ("version: 1.0.0\n", "the key \"name\" is missing"),
        ("name: shop\nversion: one\n", "version \"one\" is not a semantic version"),
        ("name: shop\nversion: 1.0.0.0\n", "is not a semantic version"),
        ("name: Shop\nversion: 1.0.0\n", "name \"Shop\" cannot be the name of a repository"),
        ("name: a/b\nversion: 1.0.0\n", "cannot be the name of a repository"),
        ("name: ..\nversion: 1.0.0\n", "cannot be the name of a repository"),
        ("apiVersion: v3\nname: shop\nversion: 1.0.0\n", "apiVersion \"v3\" is not known"),
        ("name: shop\nversion: 1.0.0\ntype: other\n", "neither application nor library"),
        (
            "name: shop\nversion: 1.0.0\ndependencies: [{name: a}, {name: b, alias: a}]\n",
            "twice under one name",
        ),
        ("name: shop\nversion: [1]\n", "Chart.yaml:2"),
        ("name: shop\nname: shop\nversion: 1.0.0\n", "twice"),
        ("- shop\n", "Chart.yaml:1"),
        ("", "Chart.yaml"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(said), "{text:?}: {error}");
    }
}

#[test]
fn versions_that_helm_takes_are_taken() {
    for version in ["1", "1.2", "v1.2.3", "1.2.3-rc.1", "1.2.3+a.b", "\"1.10\""] {
        assert!(parse(&format!("name: shop\nversion: {version}\n")).is_ok(), "{version}");
    }
    assert_eq!(tag("1.2.0+build.5").as_deref(), Some("1.2.0_build.5"));
    assert_eq!(tag(&format!("1.0.0-{}", "x".repeat(130))), None);
}
