//! The tree beneath a root: what is found in it, by the kernel's lookups and by ours.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::SystemTime;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use socklab::service::files::{Condition, Entries, Fault, Found, Kind, Root, Stat};
use support::tree::{Tree, both_ways, listing, outcome};

#[test]
fn files_and_directories_are_found() {
    let tree = Tree::new();
    tree.directory("a/b").file("a/b/file", "12345").link("a/link", "b/file").link("up", "a/../a/b");
    for root in both_ways(tree.root()) {
        for (path, expected) in [
            ("", "directory"),
            ("a", "directory"),
            ("a/b", "directory"),
            ("a/b/file", "file of 5"),
            ("a/link", "file of 5"),
            ("up/file", "file of 5"),
            ("a/b/file/", "not found"),
            ("a/b/file/more", "not found"),
            ("a/b/none", "not found"),
            ("a/none/file", "not found"),
        ] {
            assert_eq!(outcome(&root, path), expected, "{path:?}");
        }
    }
}

#[test]
fn no_name_leads_out() {
    let tree = Tree::new();
    fs::write(tree.base().join("secret"), "secret").unwrap();
    fs::create_dir(tree.base().join("root-beside")).unwrap();
    tree.directory("a").file("a/file", "1");
    let base = tree.base().to_str().unwrap().to_owned();
    tree.link("out", "../secret").link("far", "/etc/passwd").link("base", &base);
    tree.link("back", tree.at("a")).link("round", "../root/a").link("loop", "loop");
    tree.link("nowhere", "none").link("slash", "a/file/").link("deep", "a/../../secret");
    let absolute = format!("{base}/root/a/file");
    for root in both_ways(tree.root()) {
        for path in [
            "..",
            ".",
            "../secret",
            "a/..",
            "a/../../secret",
            "a/./file",
            "/a/file",
            "a//file",
            "a/",
            "/",
            "//",
            "out",
            "far",
            "base",
            "base/secret",
            "back/file",
            "round/file",
            "loop",
            "nowhere",
            "slash",
            "deep",
            &absolute,
            "..\\secret",
            "a\\file",
            "a\0",
            "a/file\0",
            "%2e%2e/secret",
            "\0",
        ] {
            assert_eq!(outcome(&root, path), "not found", "{path:?}");
        }
        let long = "x".repeat(256);
        assert_eq!(outcome(&root, &long), "not found");
        assert_eq!(outcome(&root, "a/".repeat(2048) + "file"), "not found");
    }
}

#[test]
fn names_that_begin_with_a_dot_are_found_on_request_and_parts_never() {
    let tree = Tree::new();
    tree.directory(".git").file(".git/config", "1").file(".hidden", "1").file("...", "1");
    tree.file(".socklab-0123456789abcdef.part", "1").directory(".socklab-x");
    tree.file(".socklab-x/file", "1").link("shown", ".hidden");
    for root in both_ways(tree.root()) {
        for path in [".git", ".git/config", ".hidden", "...", ".socklab-x/file"] {
            assert_eq!(outcome(&root, path), "not found", "{path:?}");
        }
        // A link says who may see what it leads to.
        assert_eq!(outcome(&root, "shown"), "file of 1");
        assert_eq!(listing(&root, "", 100), [(b"shown".to_vec(), Kind::File, 1)]);
    }
    for root in both_ways(tree.whole()) {
        for path in [".git/config", ".hidden", "...", "shown"] {
            assert_eq!(outcome(&root, path), "file of 1", "{path:?}");
        }
        for path in [".", "..", ".git/..", ".socklab-0123456789abcdef.part", ".socklab-x/file"] {
            assert_eq!(outcome(&root, path), "not found", "{path:?}");
        }
        let names: Vec<_> = listing(&root, "", 100).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, [&b"..."[..], b".git", b".hidden", b"shown"]);
    }
}

#[test]
fn what_is_no_file_is_forbidden_and_nothing_waits_for_it() {
    let tree = Tree::new();
    tree.pipe("pipe").socket("socket").link("link", "pipe").link("zero", "/dev/zero");
    for root in both_ways(tree.root()) {
        for path in ["pipe", "link", "socket"] {
            assert_eq!(outcome(&root, path), "forbidden", "{path:?}");
            let name = path.as_bytes();
            if path != "link" {
                let removed = root.remove(name, Condition::Any);
                assert!(matches!(removed, Err(Fault::Forbidden)), "{path:?}: {removed:?}");
            }
        }
        assert_eq!(outcome(&root, "zero"), "not found");
        assert_eq!(listing(&root, "", 100), []);
    }
    for root in both_ways(Root::open("/dev", false).unwrap()) {
        assert_eq!(outcome(&root, "zero"), "forbidden");
    }
    for root in both_ways(Root::open("/", false).unwrap()) {
        assert_eq!(outcome(&root, "dev/zero"), "forbidden");
        assert_eq!(outcome(&root, "proc/self/exe"), "not found");
        assert_eq!(outcome(&root, "proc/self/fd/0"), "not found");
        assert!(outcome(&root, "proc/version").starts_with("file"));
    }
}

#[test]
fn any_name_that_a_file_can_have_is_found_and_listed() {
    let tree = Tree::new();
    let names: [&[u8]; 9] = [
        b"line\nbreak",
        b"\"quotes\"'",
        b"back\\slash",
        b"<script>",
        b"\xff\xfe not UTF-8",
        b"javascript:alert(1)",
        b" ",
        b"%2e%2e",
        &[b'x'; 255],
    ];
    for name in names {
        tree.file(OsStr::from_bytes(name), name);
    }
    for root in both_ways(tree.root()) {
        for name in names {
            let Ok(Found::File(found)) = root.find(name) else { panic!("{name:?} is not found") };
            let mut read = vec![0; found.stat.len as usize];
            found.file.read_exact_at(&mut read, 0).unwrap();
            assert_eq!(read, name);
        }
        let listed: BTreeSet<_> =
            listing(&root, "", 3).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(listed, names.map(Vec::from).into());
    }
}

#[test]
fn a_listing_has_what_can_be_found_however_it_is_read() {
    let tree = Tree::new();
    tree.directory("sub/inner").file("sub/file", "123").file("beside", "1").pipe("sub/pipe");
    tree.link("sub/to-beside", "../beside").link("sub/to-inner", "inner");
    tree.link("sub/out", "../../root").link("sub/none", "none").link("sub/to-pipe", "pipe");
    for number in 0..500 {
        tree.file(format!("sub/{number:03}"), "12");
    }
    let file = |name: &str, bytes| (name.as_bytes().to_vec(), Kind::File, bytes);
    let inner = tree.at("sub/inner").metadata().unwrap().len();
    let mut expected: Vec<_> = (0..500).map(|number| file(&format!("{number:03}"), 2)).collect();
    expected.push(file("file", 3));
    expected.push((b"inner".to_vec(), Kind::Directory, inner));
    expected.push(file("to-beside", 1));
    expected.push((b"to-inner".to_vec(), Kind::Directory, inner));
    for root in both_ways(tree.root()) {
        for most in [1, 7, 100, 10_000] {
            assert_eq!(listing(&root, "sub", most), expected, "{most} at a time");
        }
    }
}

#[test]
fn a_listing_tells_when_a_file_was_modified() {
    let tree = Tree::new();
    tree.file("file", "1");
    let Ok(Found::Directory(mut directory)) = tree.root().find(b"") else { panic!() };
    let mut entries = Entries::default();
    while directory.read(10, &mut entries).unwrap() {}
    let modified = entries.from(0).next().unwrap().modified;
    assert_eq!(modified, tree.at("file").metadata().unwrap().modified().unwrap());
    assert!(modified <= SystemTime::now());
}

#[test]
fn files_links_and_empty_directories_are_removed() {
    let tree = Tree::new();
    tree.directory("full").file("full/file", "1").directory("empty").file("file", "1");
    tree.link("link", "full/file").link("out", "../none").link("to-full", "full");
    let root = tree.root();
    for path in ["file", "empty", "link", "out", "to-full"] {
        root.remove(path.as_bytes(), Condition::Any)
            .unwrap_or_else(|fault| panic!("{path}: {fault}"));
        assert!(!tree.exists(path), "{path}");
    }
    assert_eq!(tree.read("full/file"), b"1");
    let removed = |path: &str| root.remove(path.as_bytes(), Condition::Any);
    assert!(matches!(removed("full"), Err(Fault::Conflict(_))));
    assert!(matches!(removed(""), Err(Fault::Forbidden)));
    assert!(matches!(removed("none"), Err(Fault::Missing)));
    assert!(matches!(removed("full/.."), Err(Fault::Missing)));
    assert!(matches!(removed("../root"), Err(Fault::Missing)));
    assert!(tree.exists("full/file"));
}

#[test]
fn another_version_is_not_removed() {
    let tree = Tree::new();
    tree.file("file", "1");
    let root = tree.root();
    let before = stat(&root, "file");
    tree.file("file.new", "2");
    fs::rename(tree.at("file.new"), tree.at("file")).unwrap();
    let is = move |expected: Stat| {
        Condition::If(Box::new(move |present| present.is_some_and(|present| *present == expected)))
    };
    assert!(matches!(root.remove(b"file", is(before)), Err(Fault::Precondition)));
    assert!(matches!(root.remove(b"file", Condition::Nothing), Err(Fault::Precondition)));
    root.remove(b"file", is(stat(&root, "file"))).unwrap();
}

#[test]
fn a_tag_differs_for_each_version() {
    let tree = Tree::new();
    let root = tree.root();
    let mut tags = BTreeSet::new();
    // Of one length, and within a second: each replaces the one before.
    for number in 0..50 {
        tree.file("new", format!("{number:02}"));
        fs::rename(tree.at("new"), tree.at("file")).unwrap();
        let first = stat(&root, "file");
        assert_eq!(first.tag().as_str(), stat(&root, "file").tag().as_str());
        tags.insert(first.tag().to_string());
    }
    // An inode may return within one tick of the kernel's clock, but not each time.
    assert!(tags.len() > 25, "{tags:?}");
}

fn stat(root: &Root, path: &str) -> Stat {
    match root.find(path.as_bytes()) {
        Ok(Found::File(file)) => file.stat,
        other => panic!("{path:?}: {other:?}"),
    }
}

#[test]
fn no_lookup_gets_out_while_names_are_swapped() {
    let tree = Tree::new();
    fs::create_dir_all(tree.base().join("outside/b")).unwrap();
    for outside in ["outside/file", "outside/b/file", "file"] {
        fs::write(tree.base().join(outside), "secret").unwrap();
    }
    tree.directory("a/b/c").file("a/b/c/file", "1").link("a/up", "b/c/../../b/c");
    tree.file("a/b/file", "1").file("a/file", "1").link("swapped", "../outside");
    for root in both_ways(tree.root()) {
        let (stop, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
        let wrong = thread::scope(|scope| {
            // A directory and a link that leads out change places; another moves up and down.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let [a, link, third] = ["a", "swapped", "third"].map(|name| tree.at(name));
                    fs::rename(&a, &third).unwrap();
                    fs::rename(&link, &a).unwrap();
                    fs::rename(&a, &link).unwrap();
                    fs::rename(&third, &a).unwrap();
                    fs::rename(tree.at("a/b/c"), tree.at("moved")).unwrap();
                    fs::rename(tree.at("moved"), tree.at("a/b/c")).unwrap();
                    swaps.fetch_add(1, Ordering::Relaxed);
                }
            });
            let wrong = look_around(&root, &swaps);
            stop.store(true, Ordering::Relaxed);
            wrong
        });
        assert_eq!(wrong, None);
    }
}

/// Looks until both have done enough, and gives what should not have been found.
fn look_around(root: &Root, swaps: &AtomicUsize) -> Option<String> {
    let mut found = 0;
    for path in ["a/file", "a/b/file", "a/up/file", "swapped/file"].iter().cycle() {
        match root.find(path.as_bytes()) {
            Ok(Found::File(file)) if file.stat.len == 1 => found += 1,
            // Nobody can be sure while all is moved.
            Err(Fault::Missing | Fault::Busy) => {}
            other => return Some(format!("{path}: {other:?}")),
        }
        if found > 500 && swaps.load(Ordering::Relaxed) > 200 {
            break;
        }
    }
    None
}

/// What is planted in a random tree. Its links name nothing that leads back from outside.
#[derive(Clone, Debug)]
enum Plant {
    File,
    Directory,
    Link(String),
    /// A link to a place in the tree by its absolute path, which counts as outside.
    Absolute(String),
}

fn plant() -> impl Strategy<Value = Plant> {
    let step = select(&["a", "b", "c", "..", "..", ".", "outside", ""][..]);
    let target = vec(step, 1..5).prop_map(|steps| steps.join("/"));
    prop_oneof![
        3 => Just(Plant::File),
        3 => Just(Plant::Directory),
        6 => target.prop_map(Plant::Link),
        1 => path().prop_map(Plant::Absolute),
    ]
}

fn path() -> impl Strategy<Value = String> {
    vec(select(&["a", "b", "c"][..]), 1..4).prop_map(|names| names.join("/"))
}

/// All paths that could lead anywhere.
fn paths() -> Vec<String> {
    let names = ["a", "b", "c"];
    let mut paths = vec![String::new()];
    let mut last = names.map(String::from).to_vec();
    for _ in 0..3 {
        paths.extend(last.clone());
        last = last.iter().flat_map(|path| names.map(|name| format!("{path}/{name}"))).collect();
    }
    paths
}

/// Nothing is planted behind a link, or it could be outside.
fn grow(tree: &Tree, plants: &[(String, Plant)]) {
    for (path, plant) in plants {
        let mut parent = tree.at("");
        let is_reached = Path::new(path).parent().unwrap().components().all(|name| {
            let Component::Normal(name) = name else { unreachable!() };
            parent.push(name);
            let _ = fs::create_dir(&parent);
            parent.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
        });
        if !is_reached || tree.exists(path) {
            continue;
        }
        match plant {
            Plant::File => tree.file(path, path),
            Plant::Directory => tree.directory(path),
            Plant::Link(target) if target.is_empty() => tree,
            Plant::Link(target) => tree.link(path, target),
            Plant::Absolute(target) => tree.link(path, tree.at(target)),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_lookup_finds_what_lies_beneath_and_nothing_else(
        plants in vec((path(), plant()), 1..16),
    ) {
        let tree = Tree::new();
        fs::create_dir_all(tree.base().join("outside/a/b")).unwrap();
        fs::write(tree.base().join("a"), "outside").unwrap();
        grow(&tree, &plants);
        let absolute = plants.iter().any(|(_, plant)| matches!(plant, Plant::Absolute(_)));
        let [kernel, walk] = both_ways(tree.root());
        for path in paths() {
            let found = (seen(&kernel, &path), seen(&walk, &path));
            prop_assert_eq!(found.0, found.1, "{:?} differs", path);
            let real = tree.at(&path).canonicalize().ok();
            let real = real.filter(|real| real.starts_with(tree.at("")));
            let real = real.map(|real| real.metadata().unwrap());
            let real = real.map(|metadata| (metadata.ino(), metadata.is_dir()));
            if found.0.is_some() || !absolute {
                prop_assert_eq!(found.0, real, "{:?}", path);
            }
        }
    }
}

/// Which file it is, and whether it is a directory.
fn seen(root: &Root, path: &str) -> Option<(u64, bool)> {
    match root.find(path.as_bytes()) {
        Ok(Found::File(file)) => Some((file.stat.inode, false)),
        Ok(Found::Directory(directory)) => Some((directory.stat().inode, true)),
        Err(Fault::Missing) => None,
        Err(fault) => panic!("{path:?}: {fault}"),
    }
}
