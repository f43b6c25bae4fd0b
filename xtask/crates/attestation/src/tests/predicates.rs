//! What predicates say, and the provenance that is made here.

use super::*;

/// A statement of some type about nothing.
fn stated(predicate_type: PredicateType, predicate: &Value) -> Statement {
    let bytes = json!({"_type": "t", "predicateType": "p", "predicate": predicate});
    Statement {
        predicate_type,
        uri: "p".to_owned(),
        subject: Subject::Unnamed,
        form: Form::Image,
        manifest: String::new(),
        digest: "sha256:d".to_owned(),
        bytes: bytes.to_string().into_bytes(),
    }
}

fn provenance(predicate_type: PredicateType, predicate: &Value) -> Provenance {
    let statement = stated(predicate_type, predicate);
    statement.provenance().unwrap().unwrap()
}

fn recorded(names: &[&str]) -> Arguments {
    Arguments::Recorded(names.iter().map(|name| (*name).to_owned()).collect())
}

fn material(uri: &str, algorithm: &str, hex: &str) -> Material {
    Material {
        uri: Some(uri.to_owned()),
        name: None,
        digests: [(algorithm.to_owned(), hex.to_owned())].into(),
    }
}

#[test]
fn a_type_is_known_by_its_uri() {
    for (uri, is) in [
        (
            "https://slsa.dev/provenance/v0.2",
            PredicateType::ProvenanceV02,
        ),
        (
            "https://slsa.dev/provenance/v1",
            PredicateType::ProvenanceV1,
        ),
        ("https://spdx.dev/Document", PredicateType::Spdx),
        ("https://spdx.dev/Document/v2.3", PredicateType::Spdx),
        ("https://cyclonedx.org/bom", PredicateType::CycloneDx),
        ("https://cyclonedx.org/bom/v1.4", PredicateType::CycloneDx),
        (OWN, PredicateType::Own),
        (
            "https://cyclonedx.org/bomb",
            PredicateType::Other("https://cyclonedx.org/bomb".to_owned()),
        ),
    ] {
        assert_eq!(PredicateType::of(uri, Some(OWN)), is);
    }
    assert_eq!(
        PredicateType::of(OWN, None),
        PredicateType::Other(OWN.to_owned())
    );
}

#[test]
fn the_provenance_of_buildkit_names_its_arguments_and_hides_their_values() {
    let (index, store) = one();
    let reading = store.read(index.as_bytes());
    let told = reading.images[0].statements[0]
        .provenance()
        .unwrap()
        .unwrap();
    let text = |text: &str| Some(text.to_owned());
    let expected = Provenance {
        builder: None,
        build_type: text("https://mobyproject.org/buildkit@v1"),
        source: None,
        materials: vec![],
        arguments: recorded(&["GREETING"]),
        started: text("2026-11-29T20:46:22.270561071Z"),
        finished: text("2026-11-29T20:46:22.789456739Z"),
    };
    assert_eq!(told, expected);
    assert!(!format!("{told:?}").contains("hello"));
}

#[test]
fn both_versions_of_provenance_say_the_same() {
    let args = json!({"args": {"build-arg:B": "1", "build-arg:A": "2", "label:x": "y"}});
    let base = json!([{"uri": "pkg:docker/alpine@3", "digest": {"sha256": "ab"}}]);
    let old = json!({"builder": {"id": "https://b"}, "buildType": "t",
        "invocation": {"configSource": {"uri": "https://git/x", "digest": {"sha1": "cd"}},
            "parameters": args},
        "materials": base,
        "metadata": {"buildStartedOn": "1", "buildFinishedOn": "2"}});
    let new = json!({"buildDefinition": {"buildType": "t",
            "externalParameters": {
                "configSource": {"uri": "https://git/x", "digest": {"sha1": "cd"}, "path": "D"},
                "request": args},
            "resolvedDependencies": base},
        "runDetails": {"builder": {"id": "https://b"},
            "metadata": {"startedOn": "1", "finishedOn": "2"}}});
    let told = provenance(PredicateType::ProvenanceV02, &old);
    assert_eq!(told, provenance(PredicateType::ProvenanceV1, &new));
    assert_eq!(told.builder.as_deref(), Some("https://b"));
    assert_eq!(told.source, Some(material("https://git/x", "sha1", "cd")));
    assert_eq!(
        told.materials,
        [material("pkg:docker/alpine@3", "sha256", "ab")]
    );
    assert_eq!(told.arguments, recorded(&["A", "B"]));
}

#[test]
fn no_arguments_are_known_only_if_the_parameters_are_complete() {
    let old = |complete: bool| json!({"metadata": {"completeness": {"parameters": complete}}});
    let new = |complete: bool| {
        json!({"buildDefinition": {}, "runDetails": {"metadata":
            {"buildkit_completeness": {"request": complete}}}})
    };
    for (complete, arguments) in [(true, recorded(&[])), (false, Arguments::Unrecorded)] {
        let told = provenance(PredicateType::ProvenanceV02, &old(complete));
        assert_eq!(told.arguments, arguments);
        let told = provenance(PredicateType::ProvenanceV1, &new(complete));
        assert_eq!(told.arguments, arguments);
    }
}

#[test]
fn parameters_of_another_builder_are_no_fault() {
    let new = json!({"buildDefinition": {"externalParameters": {"request": 7, "configSource": []}},
        "runDetails": {"builder": {"id": "https://b"}}});
    let old = json!({"builder": {"id": "https://b"}, "invocation": {"parameters": [1]}});
    for (kind, predicate) in [
        (PredicateType::ProvenanceV1, new),
        (PredicateType::ProvenanceV02, old),
    ] {
        let told = provenance(kind, &predicate);
        assert_eq!(told.builder.as_deref(), Some("https://b"));
        assert_eq!(told.arguments, Arguments::Unrecorded);
    }
    let error = stated(PredicateType::ProvenanceV1, &json!({}))
        .provenance()
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("the provenance in statement sha256:d is malformed: missing"),
        "{error}"
    );
}

#[test]
fn packages_are_counted_and_the_first_are_named() {
    let package = |name: &str, version: Option<&str>| Package {
        name: name.to_owned(),
        version: version.map(str::to_owned),
    };
    let spdx = json!({"spdxVersion": "SPDX-2.3", "packages": [
        {"name": "busybox", "versionInfo": "1.35", "files": [{"name": "x"}]},
        {"versionInfo": "nameless"}, {"name": "musl", "versionInfo": null}, {"name": "zlib"}]});
    let told = stated(PredicateType::Spdx, &spdx)
        .packages(2)
        .unwrap()
        .unwrap();
    let expected = Packages {
        format: BillFormat::Spdx,
        version: "SPDX-2.3".to_owned(),
        count: 4,
        first: vec![package("busybox", Some("1.35")), package("musl", None)],
    };
    assert_eq!(told, expected);
    let cyclone = json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [
        {"components": [{"name": "b"}, {"name": "c"}], "name": "a", "version": "1"}, {"name": "d"}]});
    let told = stated(PredicateType::CycloneDx, &cyclone)
        .packages(3)
        .unwrap()
        .unwrap();
    let expected = Packages {
        format: BillFormat::CycloneDx,
        version: "1.5".to_owned(),
        count: 4,
        first: vec![
            package("a", Some("1")),
            package("b", None),
            package("c", None),
        ],
    };
    assert_eq!(told, expected);
    let none = stated(PredicateType::Own, &spdx);
    assert_eq!((none.packages(2), none.provenance()), (Ok(None), Ok(None)));
    for (predicate, says) in [
        (
            json!({"spdxVersion": "SPDX-3.0"}),
            "is 'SPDX-3.0', not SPDX 2",
        ),
        (json!({"@graph": []}), "has no spdxVersion"),
        (json!({"packages": 7}), "is malformed"),
        (json!([]), "is malformed: a list is not an object"),
        (
            json!({"packages": [null]}),
            "is malformed: null is not an object",
        ),
        (
            json!({"packages": {"a": 1}}),
            "is malformed: an object is not a list",
        ),
    ] {
        let error = stated(PredicateType::Spdx, &predicate)
            .packages(2)
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_provenance_that_is_made_here_is_read_back() {
    let mut made = NewProvenance {
        builder: "https://ci.example/runner".to_owned(),
        build_type: "https://example.org/build/v1".to_owned(),
        parameters: [("graph".to_owned(), json!("build-graph.toml"))]
            .into_iter()
            .collect(),
        dependencies: vec![material("https://git/x", "sha1", "cd")],
        started: Some("2026-11-20T10:00:00Z".to_owned()),
        finished: Some("2026-11-20T10:00:01Z".to_owned()),
    };
    let predicate = made.predicate().unwrap();
    let expected = json!({
        "buildDefinition": {
            "buildType": "https://example.org/build/v1",
            "externalParameters": {"graph": "build-graph.toml"},
            "resolvedDependencies": [{"uri": "https://git/x", "digest": {"sha1": "cd"}}]},
        "runDetails": {
            "builder": {"id": "https://ci.example/runner"},
            "metadata": {"startedOn": "2026-11-20T10:00:00Z", "finishedOn": "2026-11-20T10:00:01Z"}}});
    assert_eq!(predicate, expected);
    let told = provenance(PredicateType::of(NewProvenance::TYPE, None), &predicate);
    assert_eq!(told.materials, made.dependencies);
    assert_eq!(
        (told.started, told.finished),
        (made.started.clone(), made.finished.clone())
    );
    made.finished = Some("2026-11-20T09:00:00Z".to_owned());
    let says = |made: &NewProvenance| made.predicate().unwrap_err().to_string();
    assert_eq!(says(&made), "the new provenance ends before it starts");
    made.finished = Some("2026-11-20T12:00:00+02:00".to_owned());
    assert!(
        says(&made).contains("has the end '2026-11-20T12:00:00+02:00', which is not a UTC time")
    );
    made.finished = None;
    made.dependencies.push(Material::default());
    assert_eq!(
        says(&made),
        "dependency 1 of the new provenance has neither URI nor digest"
    );
    for wrong in ["", "runner", "https:", ":x", "https://a b"] {
        made.builder = wrong.to_owned();
        assert!(says(&made).contains("which is not a URI"), "{wrong}");
    }
}
