//! Uploads: nobody sees half of one, none is lost that came whole, and what was interrupted goes on.

mod support;

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use nix::unistd::{Uid, setfsuid};
use socklab::service::files::{
    Condition, Digests, Directory, Disk, Fault, Found, OpenFile, Pending, Plan, Root, Stat, Stored,
    Upload, clean, waiting,
};
use support::eventually;
use support::tree::{Tree, both_ways, leave, put, sha_256, stretch};

const MIB: usize = 1024 * 1024;

/// No parts.
const NONE: [PathBuf; 0] = [];

fn plan() -> Plan {
    Plan::default()
}

fn from(first: u64) -> Plan {
    Plan { first: Some(first), ..Plan::default() }
}

#[test]
fn sessions_can_hold_all_of_it() {
    fn is_send<T: Send>() {}
    is_send::<Upload>();
    is_send::<Directory>();
    is_send::<Pending<OpenFile>>();
    is_send::<Digests>();
    is_send::<Root>();
}

#[test]
fn a_file_is_created_and_replaced() {
    let tree = Tree::new();
    for (root, directory) in both_ways(tree.root()).into_iter().zip(["new", "walked"]) {
        let path = format!("{directory}/sub/file");
        let stored = put(&root, &path, b"first", plan(), Condition::Any).unwrap();
        assert!(stored.created);
        assert_eq!(tree.read(&path), b"first");
        let replaced = put(&root, &path, b"second", plan(), Condition::Any).unwrap();
        assert!(!replaced.created);
        assert_eq!(tree.read(&path), b"second");
        let Ok(Found::File(found)) = root.find(path.as_bytes()) else { panic!() };
        assert_eq!(found.stat, replaced.stat, "what is stored is what is found then");
        assert_ne!(found.stat.tag().as_str(), stored.stat.tag().as_str());
        assert_eq!(tree.parts(format!("{directory}/sub")), NONE);
    }
}

#[test]
fn nobody_sees_it_before_its_end() {
    let tree = Tree::new();
    tree.file("file", "old");
    let root = tree.root();
    let mut upload = Upload::begin(&root, b"file", plan(), &Disk::default()).unwrap();
    upload.write(&vec![b'n'; 3 * MIB]).unwrap();
    assert_eq!(tree.read("file"), b"old");
    let names: Vec<_> = support::tree::listing(&root, "", 10).into_iter().map(|e| e.0).collect();
    assert_eq!(names, [b"file"]);
    upload.finish(Condition::Any).wait().unwrap();
    assert_eq!(tree.read("file").len(), 3 * MIB);
}

#[test]
fn an_empty_file_is_a_file() {
    let tree = Tree::new();
    assert_eq!(put(&tree.root(), "file", b"", plan(), Condition::Any).unwrap().stat.len, 0);
    assert_eq!(tree.read("file"), b"");
}

#[test]
fn what_stands_in_the_way_refuses_before_any_byte() {
    let tree = Tree::new();
    tree.directory("directory").file("file", "1").pipe("pipe").link("to-directory", "directory");
    tree.link("out", "..").link("nowhere", "none");
    for root in both_ways(tree.root()) {
        let refused = |path: &str| {
            Upload::begin(&root, path.as_bytes(), plan(), &Disk::default()).unwrap_err()
        };
        for path in ["", "directory", "to-directory"] {
            assert!(matches!(refused(path), Fault::IsDirectory), "{path}");
        }
        assert!(matches!(refused("file/below"), Fault::Conflict(_)));
        assert!(matches!(refused("pipe"), Fault::Forbidden));
        assert!(matches!(refused("pipe/below"), Fault::Conflict(_)));
        for path in
            ["../file", "a/../b", ".hidden", ".socklab-0", "a/.socklab-0/b", "out/file", "a/"]
        {
            assert!(matches!(refused(path), Fault::Missing), "{path}");
        }
        assert!(matches!(refused("nowhere/file"), Fault::Missing));
        assert!(matches!(refused(&"x".repeat(256)), Fault::Missing));
        assert!(!tree.exists("a"), "what is refused leaves no parents");
    }
    assert_eq!(tree.parts(""), NONE);
}

#[test]
fn a_link_is_replaced_and_what_it_leads_to_is_not() {
    let tree = Tree::new();
    tree.file("file", "old")
        .link("link", "file")
        .link("out", "/etc/hostname")
        .link("none", "nothing");
    for link in ["link", "out", "none"] {
        put(&tree.root(), link, b"new", plan(), Condition::Any).unwrap();
        assert_eq!(tree.read(link), b"new");
        assert!(!tree.at(link).is_symlink());
    }
    assert_eq!(tree.read("file"), b"old");
    tree.link("dangling", "nothing");
    let refused = put(&tree.root(), "dangling", b"new", plan(), Condition::Nothing);
    assert!(matches!(refused, Err(Fault::Precondition)), "{refused:?}");
}

#[test]
fn a_replaced_file_keeps_who_may_read_it() {
    let tree = Tree::new();
    tree.file("file", "old").file("program", "old");
    fs::set_permissions(tree.at("file"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(tree.at("program"), fs::Permissions::from_mode(0o4755)).unwrap();
    let mode = |path: &str| tree.at(path).metadata().unwrap().mode() & 0o7777;
    let root = tree.root();
    let mut upload = Upload::begin(&root, b"file", plan(), &Disk::default()).unwrap();
    upload.write(b"secret").unwrap();
    let part = tree.parts("").pop().unwrap();
    assert_eq!(
        part.metadata().unwrap().mode() & 0o077,
        0,
        "a part is no more public than its target"
    );
    upload.finish(Condition::Any).wait().unwrap();
    assert_eq!(mode("file"), 0o600);
    put(&root, "program", b"new", plan(), Condition::Any).unwrap();
    assert_eq!(mode("program"), 0o755, "a program does not run as somebody else on request");
    put(&root, "new", b"new", plan(), Condition::Any).unwrap();
    tree.file("as-usual", "new");
    assert_eq!(mode("new"), mode("as-usual"));
}

#[test]
fn an_interrupted_upload_goes_on_where_it_was() {
    let tree = Tree::new();
    tree.file("file", "old");
    let root = tree.root();
    assert_eq!(waiting(&root, b"file"), None);
    leave(&root, "file", b"0123456789");
    assert_eq!(tree.read("file"), b"old");
    for root in both_ways(root.clone()) {
        assert_eq!(waiting(&root, b"file"), Some(10));
    }
    let behind = Upload::begin(&root, b"file", from(11), &Disk::default());
    assert!(matches!(behind, Err(Fault::Offset(10))), "{behind:?}");
    // What was sent again replaces what was there.
    let upload = Upload::begin(&root, b"file", from(4), &Disk::default()).unwrap();
    assert_eq!(upload.position(), 4);
    drop(upload);
    assert_eq!(waiting(&root, b"file"), Some(4));
    let plan = Plan { total: Some(7), digest: Some(sha_256(b"0123xyz")), ..from(4) };
    put(&root, "file", b"xyz", plan, Condition::Any).unwrap();
    assert_eq!(tree.read("file"), b"0123xyz");
    assert_eq!(waiting(&root, b"file"), None);
    let nothing = Upload::begin(&root, b"file", from(1), &Disk::default());
    assert!(matches!(nothing, Err(Fault::Offset(0))), "{nothing:?}");
}

#[test]
fn a_new_upload_does_not_go_on_with_an_old_one() {
    let tree = Tree::new();
    leave(&tree.root(), "file", b"0123456789");
    put(&tree.root(), "file", b"abc", from(0), Condition::Any).unwrap();
    assert_eq!(tree.read("file"), b"abc");
}

#[test]
fn what_was_dropped_before_its_first_byte_leaves_nothing() {
    let tree = Tree::new();
    let root = tree.root();
    drop(Upload::begin(&root, b"file", plan(), &Disk::default()).unwrap());
    assert_eq!(waiting(&root, b"file"), None);
    let mut upload = Upload::begin(&root, b"file", plan(), &Disk::default()).unwrap();
    upload.write(b"123").unwrap();
    upload.abandon();
    assert_eq!(tree.parts(""), NONE);
    assert!(!tree.exists("file"));
}

#[test]
fn an_upload_that_came_whole_is_stored_though_nobody_waits() {
    let tree = Tree::new();
    let root = tree.root();
    let disk = Disk::default();
    let mut upload = Upload::begin(&root, b"file", plan(), &disk).unwrap();
    upload.write(b"whole").unwrap();
    drop(upload.finish(Condition::Any));
    drop(disk);
    eventually("it is stored", || tree.exists("file"));
    assert_eq!(tree.read("file"), b"whole");
}

#[test]
fn the_wrong_digest_replaces_nothing() {
    let tree = Tree::new();
    tree.file("file", "old");
    let root = tree.root();
    let body = vec![7; 20 * MIB];
    let wrong = Plan { digest: Some([0; 32]), ..plan() };
    let outcome = put(&root, "file", &body, wrong, Condition::Any);
    assert!(matches!(outcome, Err(Fault::WrongDigest)), "{outcome:?}");
    assert_eq!(tree.read("file"), b"old");
    assert_eq!(tree.parts(""), NONE);
    let right = Plan { digest: Some(sha_256(&body)), ..plan() };
    let mut upload = Upload::begin(&root, b"file", right, &Disk::default()).unwrap();
    for piece in body.chunks(65_537) {
        upload.write(piece).unwrap();
    }
    assert_eq!(upload.finish(Condition::Any).wait().unwrap().digest, Some(sha_256(&body)));
    assert_eq!(tree.read("file"), body);
}

#[test]
fn more_than_an_upload_may_be_is_refused() {
    let tree = Tree::new();
    tree.file("file", "old");
    let root = tree.root();
    let most = Plan { most: Some(10), ..plan() };
    let declared = put(&root, "a/file", b"", Plan { total: Some(11), ..most }, Condition::Any);
    assert!(matches!(declared, Err(Fault::TooLarge)), "{declared:?}");
    assert!(!tree.exists("a"), "before anything is made");
    let mut upload = Upload::begin(&root, b"file", most, &Disk::default()).unwrap();
    upload.write(b"0123456789").unwrap();
    assert!(matches!(upload.write(b"x"), Err(Fault::TooLarge)));
    assert_eq!(tree.parts(""), NONE, "its space is given back at once");
    drop(upload);
    put(&root, "file", b"0123456789", most, Condition::Any).unwrap();
    assert_eq!(tree.read("file"), b"0123456789");
}

#[test]
fn another_length_than_was_announced_is_refused() {
    let tree = Tree::new();
    let root = tree.root();
    let total = Plan { total: Some(5), ..plan() };
    for body in ["1234", "123456"] {
        let outcome = put(&root, "file", body.as_bytes(), total, Condition::Any);
        assert!(matches!(outcome, Err(Fault::Conflict(_))), "{outcome:?}");
    }
    assert!(!tree.exists("file"));
    let behind =
        Upload::begin(&root, b"file", Plan { total: Some(5), ..from(6) }, &Disk::default());
    assert!(matches!(behind, Err(Fault::Conflict(_))), "{behind:?}");
}

#[test]
fn who_may_not_write_there_is_told_before_any_byte() {
    let tree = Tree::new();
    tree.directory("closed").file("closed/file", "old").file("closed/secret", "secret");
    for (path, mode) in [("closed/secret", 0o000), ("closed", 0o555)] {
        fs::set_permissions(tree.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let root = tree.root();
    // Root may do anything. In this thread it is nobody.
    setfsuid(Uid::from_raw(65534));
    for path in ["closed/file", "closed/new", "closed/sub/new"] {
        let refused = Upload::begin(&root, path.as_bytes(), plan(), &Disk::default());
        assert!(matches!(refused, Err(Fault::Forbidden)), "{path}: {refused:?}");
    }
    assert!(matches!(root.find(b"closed/secret"), Err(Fault::Forbidden)));
    assert!(matches!(root.remove(b"closed/file", Condition::Any), Err(Fault::Forbidden)));
    setfsuid(Uid::current());
    assert_eq!(tree.read("closed/file"), b"old");
    fs::set_permissions(tree.at("closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_upload_onto_a_file_that_nobody_may_write_to_goes_on() {
    let tree = Tree::new();
    tree.file("file", "old");
    fs::set_permissions(tree.at("file"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(tree.at(""), fs::Permissions::from_mode(0o777)).unwrap();
    let root = tree.root();
    let disk = Disk::default();
    // Root may open anything. In this thread it is nobody.
    setfsuid(Uid::from_raw(65534));
    let mut first = Upload::begin(&root, b"file", from(0), &disk).unwrap();
    first.write(b"ne").unwrap();
    drop(first);
    let mut second = Upload::begin(&root, b"file", from(2), &disk).unwrap();
    second.write(b"w").unwrap();
    setfsuid(Uid::current());
    second.finish(Condition::Any).wait().unwrap();
    assert_eq!(tree.read("file"), b"new");
    assert_eq!(tree.at("file").metadata().unwrap().mode() & 0o777, 0o444);
}

#[test]
fn what_stands_in_the_place_of_a_part_is_told_of_once_and_for_all() {
    let tree = Tree::new();
    let root = tree.root();
    leave(&root, "file", b"123");
    let part = tree.parts("").pop().unwrap();
    fs::remove_file(&part).unwrap();
    fs::create_dir(&part).unwrap();
    for plan in [from(0), from(3)] {
        let refused = Upload::begin(&root, b"file", plan, &Disk::default());
        assert!(matches!(refused, Err(Fault::Conflict(_))), "{refused:?}");
    }
    // One that need not go on goes round it.
    put(&root, "file", b"123", plan(), Condition::Any).unwrap();
}

#[test]
fn a_refused_upload_takes_its_directories_along() {
    let tree = Tree::new();
    tree.directory("there");
    let root = tree.root();
    let disk = Disk::default();
    for path in ["a/b/c/file", "there/b/file"] {
        let refusals: [&dyn Fn() -> Result<Stored, Fault>; 5] = [
            &|| put(&root, path, b"x", Plan { digest: Some([0; 32]), ..plan() }, Condition::Any),
            &|| put(&root, path, b"long", Plan { most: Some(2), ..plan() }, Condition::Any),
            &|| put(&root, path, b"x", from(7), Condition::Any),
            &|| put(&root, path, b"x", Plan { total: Some(1 << 62), ..plan() }, Condition::Any),
            &|| put(&root, path, b"x", plan(), Condition::If(Box::new(|_| false))),
        ];
        for (place, refusal) in refusals.iter().enumerate() {
            let refused = refusal();
            assert!(refused.is_err(), "{place}: {refused:?}");
            let left: Vec<_> = fs::read_dir(tree.at("")).unwrap().collect();
            assert_eq!(left.len(), 1, "{place}: {left:?}");
            assert_eq!(fs::read_dir(tree.at("there")).unwrap().count(), 0, "{place}");
        }
        Upload::begin(&root, path.as_bytes(), plan(), &disk).unwrap().abandon();
        assert!(!tree.exists("a") && !tree.exists("there/b"));
    }
    // What can go on, and what somebody else has put there, stays.
    leave(&root, "a/b/file", b"123");
    assert_eq!(waiting(&root, b"a/b/file"), Some(3));
    let upload = Upload::begin(&root, b"c/d/file", plan(), &disk).unwrap();
    put(&root, "c/other", b"1", plan(), Condition::Any).unwrap();
    upload.abandon();
    assert!(tree.exists("c/other") && !tree.exists("c/d"));
}

#[test]
fn uploads_that_are_refused_stand_in_nobodys_way() {
    let tree = Tree::new();
    let root = tree.root();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let wrong = Plan { digest: Some([0; 32]), ..plan() };
                    assert!(put(&root, "a/b/refused", b"x", wrong, Condition::Any).is_err());
                }
            });
        }
        for number in 0..20 {
            let path = format!("a/b/{number}");
            put(&root, &path, b"x", plan(), Condition::Any).unwrap();
            root.remove(path.as_bytes(), Condition::Any).unwrap();
            let _ = fs::remove_dir(tree.at("a/b"));
        }
    });
}

#[test]
fn one_that_is_busy_is_not_disturbed() {
    let tree = Tree::new();
    let root = tree.root();
    let disk = Disk::default();
    let mut first = Upload::begin(&root, b"file", plan(), &disk).unwrap();
    first.write(b"first").unwrap();
    for plan in [from(0), from(2), from(99)] {
        let busy = Upload::begin(&root, b"file", plan, &disk);
        assert!(matches!(busy, Err(Fault::Busy)), "{busy:?}");
    }
    let mut second = Upload::begin(&root, b"file", plan(), &disk).unwrap();
    second.write(b"second").unwrap();
    assert_eq!(tree.parts("").len(), 2);
    second.finish(Condition::Any).wait().unwrap();
    assert_eq!(tree.read("file"), b"second");
    first.finish(Condition::Any).wait().unwrap();
    assert_eq!(tree.read("file"), b"first");
    assert_eq!(tree.parts(""), NONE);
}

#[test]
fn of_uploads_at_once_one_whole_version_stays() {
    let tree = Tree::new();
    let root = tree.root();
    for _ in 0..5 {
        let outcomes = at_once(&root, plan, || Condition::Any);
        let created = outcomes.iter().filter(|stored| stored.as_ref().unwrap().created).count();
        assert_eq!(created, 1);
        let content = tree.read("file");
        assert_eq!(content.len(), MIB);
        assert!(content.iter().all(|byte| *byte == content[0]));
        assert_eq!(tree.parts(""), NONE);
        fs::remove_file(tree.at("file")).unwrap();
    }
}

#[test]
fn of_uploads_at_once_that_must_be_the_first_one_is() {
    let tree = Tree::new();
    let root = tree.root();
    for _ in 0..5 {
        let outcomes = at_once(&root, plan, || Condition::Nothing);
        assert_eq!(only_one(outcomes), 1);
        fs::remove_file(tree.at("file")).unwrap();
    }
}

#[test]
fn of_uploads_at_once_that_replace_one_version_one_does() {
    let tree = Tree::new();
    let root = tree.root();
    for _ in 0..5 {
        tree.file("file", "old");
        let Ok(Found::File(old)) = root.find(b"file") else { panic!() };
        let old = old.stat;
        let outcomes = at_once(&root, plan, move || {
            Condition::If(Box::new(move |present| {
                let is_old = present == Some(&old);
                // Time for the others to get between the look and the change.
                thread::sleep(Duration::from_millis(3));
                is_old
            }))
        });
        assert_eq!(only_one(outcomes), 1);
    }
}

type Outcome = Result<Stored, Fault>;

/// Eight clients, each with a byte of its own.
fn at_once(
    root: &Root,
    plan: impl Fn() -> Plan + Sync,
    condition: impl Fn() -> Condition + Sync,
) -> Vec<Outcome> {
    let disk = Disk::default();
    thread::scope(|scope| {
        let client = |byte: u8| {
            let (disk, plan, condition) = (&disk, plan(), condition());
            move || {
                let mut upload = Upload::begin(root, b"file", plan, disk)?;
                for _ in 0..16 {
                    upload.write(&vec![byte; MIB / 16])?;
                }
                upload.finish(condition).wait()
            }
        };
        let clients: Vec<_> = (1..=8).map(|byte| scope.spawn(client(byte))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

fn only_one(outcomes: Vec<Outcome>) -> usize {
    let refused = |outcome: &&Outcome| matches!(outcome, Err(Fault::Precondition));
    let stored = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(stored + outcomes.iter().filter(refused).count(), outcomes.len(), "{outcomes:?}");
    stored
}

/// All its threads have something to do until what this gives is dropped.
fn stuck(disk: &Disk) -> Sender<()> {
    let (go, stop) = mpsc::channel();
    let stop = Arc::new(Mutex::new(stop));
    for _ in 0..4 {
        let stop = stop.clone();
        drop(disk.run(move || Ok(stop.lock().unwrap().recv().is_err())));
    }
    go
}

#[test]
fn a_session_learns_that_the_disk_is_behind() {
    let tree = Tree::new();
    let disk = Disk::default();
    let stuck = stuck(&disk);
    let mut upload = Upload::begin(&tree.root(), b"file", plan(), &disk).unwrap();
    let piece = vec![1; MIB];
    for _ in 0..32 {
        upload.write(&piece).unwrap();
        assert!(!upload.is_ahead());
    }
    upload.write(&piece).unwrap();
    assert!(upload.is_ahead());
    drop(stuck);
    eventually("the disk has caught up", || !upload.is_ahead());
    upload.finish(Condition::Any).wait().unwrap();
    assert_eq!(tree.read("file").len(), 33 * MIB);
}

#[test]
fn an_upload_goes_on_at_once_though_the_disk_is_busy_with_it() {
    let tree = Tree::new();
    let root = tree.root();
    let disk = Disk::default();
    let stuck = stuck(&disk);
    let mut upload = Upload::begin(&root, b"file", plan(), &disk).unwrap();
    upload.write(&vec![1; 9 * MIB]).unwrap();
    drop(upload);
    let upload = Upload::begin(&root, b"file", from(9 * MIB as u64), &disk).unwrap();
    drop(stuck);
    upload.finish(Condition::Any).wait().unwrap();
    assert_eq!(tree.read("file").len(), 9 * MIB);
}

#[test]
fn offsets_are_longer_than_32_bits() {
    const FAR: u64 = 5 * 1024 * 1024 * 1024;
    let tree = Tree::new();
    let root = tree.root();
    leave(&root, "file", b"begin");
    stretch(&tree.parts("")[0], FAR);
    assert_eq!(waiting(&root, b"file"), Some(FAR));
    let behind = Upload::begin(&root, b"file", from(FAR + 1), &Disk::default());
    assert!(matches!(behind, Err(Fault::Offset(FAR))), "{behind:?}");
    let plan = Plan { total: Some(FAR + 3), ..from(FAR) };
    assert_eq!(put(&root, "file", b"end", plan, Condition::Any).unwrap().stat.len, FAR + 3);
    let Ok(Found::File(found)) = root.find(b"file") else { panic!() };
    let mut end = [0; 4];
    found.file.read_exact_at(&mut end, FAR - 1).unwrap();
    assert_eq!(&end, b"\0end");
}

#[test]
fn a_prefix_longer_than_a_step_is_hashed_too() {
    let tree = Tree::new();
    let root = tree.root();
    let mut body = vec![0; 200 * MIB];
    leave(&root, "file", &body[..1]);
    stretch(&tree.parts("")[0], body.len() as u64);
    let more = vec![1; 20 * MIB];
    body.extend(&more);
    let plan = Plan { digest: Some(sha_256(&body)), ..from(200 * MIB as u64) };
    let mut upload = Upload::begin(&root, b"file", plan, &Disk::default()).unwrap();
    for piece in more.chunks(MIB) {
        upload.write(piece).unwrap();
    }
    assert_eq!(upload.finish(Condition::Any).wait().unwrap().stat.len, body.len() as u64);
}

#[test]
fn a_directory_with_nothing_but_parts_can_be_removed() {
    let tree = Tree::new();
    let root = tree.root();
    leave(&root, "directory/file", b"123");
    leave(&root, "full/file", b"123");
    tree.file("full/other", "1");
    let full = root.remove(b"full", Condition::Any);
    assert!(matches!(full, Err(Fault::Conflict(_))), "{full:?}");
    assert_eq!(waiting(&root, b"full/file"), Some(3));
    let upload = Upload::begin(&root, b"directory/file", from(3), &Disk::default()).unwrap();
    let busy = root.remove(b"directory", Condition::Any);
    assert!(matches!(busy, Err(Fault::Conflict(_))), "{busy:?}");
    drop(upload);
    root.remove(b"directory", Condition::Any).unwrap();
    assert!(!tree.exists("directory"));
}

#[test]
fn an_upload_to_a_directory_that_is_removed_meanwhile_is_refused() {
    let tree = Tree::new();
    let root = tree.root();
    let mut upload = Upload::begin(&root, b"directory/file", plan(), &Disk::default()).unwrap();
    upload.write(b"123").unwrap();
    fs::remove_dir_all(tree.at("directory")).unwrap();
    let outcome = upload.finish(Condition::Any).wait();
    assert!(matches!(outcome, Err(Fault::Conflict(_))), "{outcome:?}");
}

#[test]
fn what_is_left_behind_is_cleaned_up_and_what_may_go_on_is_kept() {
    let tree = Tree::new();
    tree.directory("a/b").directory(".hidden").directory("c").link("a/loop", "..");
    fs::create_dir(tree.base().join("outside")).unwrap();
    tree.link("out", tree.base().join("outside"));
    let root = tree.root();
    let unique = ".socklab-0123456789abcdef.1-1.part";
    for directory in ["", "a", "a/b", ".hidden", "../outside"] {
        tree.file(format!("{directory}/{unique}").trim_start_matches('/'), "1");
    }
    for kept in [".socklab-notes", "a/.socklab-0123456789abcdef.part.bak"] {
        tree.file(kept, "1");
    }
    leave(&root, "c/fresh", b"1");
    leave(&root, "a/old", b"1");
    let old = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
    for part in tree.parts("a") {
        fs::File::options().write(true).open(part).unwrap().set_modified(old).unwrap();
    }
    let disk = Disk::default();
    let running = Upload::begin(&root, b"c/running", plan(), &disk).unwrap();
    assert_eq!(clean(&root, &disk).wait().unwrap(), 5);
    assert_eq!(tree.parts("c").len(), 2);
    assert_eq!(tree.parts("a").len(), 1);
    assert_eq!(tree.parts("").len(), 1);
    assert!(tree.base().join("outside").join(unique).exists());
    assert_eq!(waiting(&root, b"c/fresh"), Some(1));
    running.finish(Condition::Any).wait().unwrap();
}

/// Where a process replaces a file until it is killed.
const KILLED: &str = "SOCKLAB_TEST_KILLED";

#[test]
fn a_process_that_is_killed_leaves_whole_versions_and_nothing_that_stays() {
    if let Some(place) = env::var_os(KILLED) {
        let root = Root::open(place, false).unwrap();
        thread::scope(|scope| {
            for writer in 0..2 {
                let root = &root;
                scope.spawn(move || {
                    for version in 0.. {
                        let length = 1 + (version * 7919 + writer * 13) % (2 * MIB);
                        let body = vec![length as u8; length];
                        put(root, "file", &body, plan(), Condition::Any).unwrap();
                    }
                });
            }
        });
    }
    let tree = Tree::new();
    let root = tree.root();
    let (mut interrupted, mut stray) = (0, 0);
    for round in 0..25 {
        let mut writer = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "a_process_that_is_killed_leaves_whole_versions_and_nothing_that_stays",
            ])
            .env(KILLED, tree.at(""))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let before = tree.at("file").metadata().ok().map(|metadata| metadata.ino());
        eventually("it has replaced the file", || {
            tree.at("file").metadata().is_ok_and(|metadata| Some(metadata.ino()) != before)
        });
        thread::sleep(Duration::from_micros(round * 397));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let content = tree.read("file");
        assert!(content.iter().all(|byte| *byte == content.len() as u8), "{}", content.len());
        stray += tree.parts("").len();
        clean(&root, &Disk::default()).wait().unwrap();
        let left = tree.parts("");
        assert!(left.len() <= 1, "only what can go on is left: {left:?}");
        interrupted += usize::from(waiting(&root, b"file").is_some());
        for part in left {
            let old = SystemTime::now() - Duration::from_secs(25 * 60 * 60);
            fs::File::options().write(true).open(part).unwrap().set_modified(old).unwrap();
        }
        clean(&root, &Disk::default()).wait().unwrap();
        assert_eq!(tree.parts(""), NONE);
    }
    assert!(stray > 0 && interrupted > 0, "no kill came in the midst: {stray}, {interrupted}");
}

/// Where a disk of 4 MiB is to be mounted.
const FULL: &str = "SOCKLAB_TEST_FULL";

#[test]
#[ignore = "needs unshare(1) and mount(8), and users who may"]
fn a_full_disk_takes_nothing_from_the_old_file() {
    if let Some(place) = env::var_os(FULL) {
        return fill(&Root::open(place, false).unwrap());
    }
    let tree = Tree::new();
    let script = "mount -t tmpfs -o size=4m none \"$1\" && exec \"$2\" --ignored --exact \"$3\"";
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(tree.at(""))
        .arg(env::current_exe().unwrap())
        .arg("a_full_disk_takes_nothing_from_the_old_file")
        .env(FULL, tree.at(""))
        .status()
        .unwrap();
    assert!(status.success());
}

fn fill(root: &Root) {
    put(root, "file", &vec![1; MIB], plan(), Condition::Any).unwrap();
    let declared = Plan { total: Some(5 * MIB as u64), ..plan() };
    let refused = Upload::begin(root, b"file", declared, &Disk::default());
    assert!(matches!(refused, Err(Fault::NoSpace)), "{refused:?}");
    for _ in 0..3 {
        let mut upload = Upload::begin(root, b"file", plan(), &Disk::default()).unwrap();
        let fault = (0..80).find_map(|_| upload.write(&[2; MIB / 16]).err());
        assert!(matches!(fault, Some(Fault::NoSpace)), "{fault:?}");
        // Its space is given back before it is dropped.
        eventually("there is space for others", || {
            put(root, "other", &vec![3; 2 * MIB], plan(), Condition::Any).is_ok()
        });
        root.remove(b"other", Condition::Any).unwrap();
        drop(upload);
        assert_eq!(waiting(root, b"file"), None);
        let Ok(Found::File(old)) = root.find(b"file") else { panic!() };
        assert_eq!(old.stat.len, MIB as u64);
    }
}

#[test]
fn a_digest_is_computed_once_for_each_version() {
    let tree = Tree::new();
    let body: Vec<u8> = (0..3 * MIB + 7).map(|index| (index % 251) as u8).collect();
    tree.file("file", &body);
    let root = tree.root();
    let digests = Digests::new(&Disk::default());
    let Ok(Found::File(file)) = root.find(b"file") else { panic!() };
    assert_eq!(digests.known(&file.stat), None);
    let asked: Vec<_> = (0..10).map(|_| digests.ask(&file.file, &file.stat).unwrap()).collect();
    for answer in asked {
        assert_eq!(answer.wait().unwrap(), sha_256(&body));
    }
    assert_eq!(digests.known(&file.stat), Some(sha_256(&body)));
    put(&root, "file", b"new", plan(), Condition::Any).unwrap();
    let Ok(Found::File(new)) = root.find(b"file") else { panic!() };
    assert_eq!(digests.known(&new.stat), None);
    assert_eq!(digests.ask(&new.file, &new.stat).unwrap().wait().unwrap(), sha_256(b"new"));
}

#[test]
fn a_file_that_changes_has_no_digest() {
    let tree = Tree::new();
    tree.file("file", "before");
    let digests = Digests::new(&Disk::default());
    let Ok(Found::File(file)) = tree.root().find(b"file") else { panic!() };
    fs::File::options().append(true).open(tree.at("file")).unwrap().write_all(b", after").unwrap();
    let outcome = digests.ask(&file.file, &file.stat).unwrap().wait();
    assert!(matches!(outcome, Err(Fault::Conflict(_))), "{outcome:?}");
    assert_eq!(digests.known(&file.stat), None);
}

#[test]
fn digests_that_wait_are_bounded_and_so_are_those_that_are_known() {
    let tree = Tree::new();
    for number in 0..70 {
        tree.file(format!("{number}"), format!("{number}"));
    }
    let root = tree.root();
    let disk = Disk::default();
    let stuck = stuck(&disk);
    let digests = Digests::new(&disk);
    let mut asked = Vec::new();
    for number in 0..70 {
        let Ok(Found::File(file)) = root.find(format!("{number}").as_bytes()) else { panic!() };
        match digests.ask(&file.file, &file.stat) {
            Ok(answer) => asked.push((number, answer)),
            Err(fault) => assert!(matches!(fault, Fault::Busy), "{fault}"),
        }
    }
    assert_eq!(asked.len(), 66);
    drop(stuck);
    for (number, answer) in asked {
        assert_eq!(answer.wait().unwrap(), sha_256(number.to_string().as_bytes()));
    }
    let Ok(Found::File(file)) = root.find(b"0") else { panic!() };
    let first = file.stat;
    for number in 0..1025 {
        digests.learn(&Stat { inode: number, ..first }, [1; 32]);
    }
    assert_eq!(digests.known(&first), None, "the oldest are forgotten");
}
