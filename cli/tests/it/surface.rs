//! What people see of every command: at four widths, in colour, and in ASCII.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use regex::Regex;

use super::support::{AGENTS, Place, Run};

/// Names of snapshots, and the lines of a shell that are run in a folder with a store of three
/// traces. A command without a line here fails [`every_command_is_shown`].
const CASES: &[(&str, &str)] = &[
    ("list", "spanlite list"),
    (
        "list_found",
        "spanlite list '{ span:type = \"tool\" }' -n 1",
    ),
    ("show", "spanlite show @"),
    ("show_hostile", "spanlite show @-1"),
    ("show_depth", "spanlite show @ --depth 2 --number-repeats"),
    ("show_io", "spanlite show @ --io"),
    ("span", "spanlite span @/get_order"),
    ("span_model", "spanlite span @/0000000000000003"),
    ("query", "spanlite query '{ status = error }'"),
    (
        "query_by",
        "spanlite query '{ span:type = \"tool\" } | by(name) | count() > 1' 2>&1",
    ),
    (
        "query_metric",
        "spanlite query '{ } | count_over_time() by (span:type)' --step 10m",
    ),
    (
        "queries_add",
        "spanlite queries add bad '{ status = error }'",
    ),
    (
        "queries_list",
        "spanlite queries list; spanlite queries add bad '{ status = error }'; spanlite queries list",
    ),
    (
        "queries_rm",
        "spanlite queries add bad '{ status = error }'; spanlite queries rm bad",
    ),
    (
        "check",
        "spanlite check '{ status = error }'; echo $?; spanlite check '{ status = error }' --max 2",
    ),
    ("diff", "spanlite diff @-2 @"),
    ("diff_io", "spanlite diff @-2 @ --io"),
    ("tail", "spanlite tail -n 6"),
    ("stats", "spanlite stats"),
    ("stats_by", "spanlite stats --by type,status"),
    (
        "values",
        "spanlite values type; spanlite values gen_ai.requst.model",
    ),
    ("sessions", "spanlite sessions"),
    (
        "feedback_add",
        "spanlite feedback add @/get_order correctness no --by alice --why 'wrong order'",
    ),
    (
        "feedback_list",
        "spanlite feedback list; spanlite feedback add @ correctness no --by alice --why 'wrong order' 2>&-; spanlite feedback list",
    ),
    (
        "feedback_rm",
        "spanlite feedback add @ correctness no 2>&-; spanlite feedback rm @ correctness",
    ),
    ("expect", "spanlite expect 0c answer '{\"a\": 1}'"),
    (
        "tag",
        "spanlite tag @ env=prod team=a; spanlite tag @ --rm team; spanlite list -n 1",
    ),
    (
        "pin",
        "spanlite pin @; spanlite list -n 1; spanlite pin @ --rm",
    ),
    (
        "import",
        "spanlite import agents.json; spanlite import prices.csv",
    ),
    (
        "receive",
        "until_told spanlite receive --listen 127.0.0.1:0",
    ),
    (
        "proxy",
        "until_told spanlite proxy --listen 127.0.0.1:0 --upstream house=http://127.0.0.1:1/v1",
    ),
    (
        "export",
        "spanlite export --to otlp-json out.json; spanlite export --to html out.html",
    ),
    ("jobs_add", "spanlite jobs add prod $TO"),
    (
        "jobs_list",
        "spanlite jobs list; spanlite jobs add prod $TO 2>&-; spanlite jobs list",
    ),
    (
        "jobs_run",
        "spanlite jobs add prod $TO 2>&-; spanlite jobs run prod --dry-run",
    ),
    (
        "jobs_status",
        "spanlite jobs add prod $TO 2>&-; spanlite jobs status prod",
    ),
    (
        "jobs_show",
        "spanlite jobs add prod $TO 2>&-; spanlite jobs show prod",
    ),
    (
        "jobs_retry",
        "spanlite jobs add prod $TO 2>&-; spanlite jobs retry prod",
    ),
    (
        "jobs_rm",
        "spanlite jobs add prod $TO 2>&-; spanlite jobs rm prod; spanlite jobs rm prod --yes",
    ),
    ("prices_show", "spanlite prices show gpt-4o-mini"),
    (
        "prices_missing",
        "spanlite prices missing; spanlite prices import prices.csv 2>&-; spanlite prices missing",
    ),
    (
        "prices_set",
        "spanlite prices set gpt-4o-mini --input 1.5 --output 6; spanlite prices show gpt-4o-mini -q",
    ),
    (
        "prices_rm",
        "spanlite prices rm gpt-4o-mini; spanlite prices set gpt-4o-mini --input 1 2>&-; spanlite prices rm gpt-4o-mini",
    ),
    (
        "prices_import",
        "spanlite prices import prices.csv; spanlite prices show",
    ),
    ("prices_reset", "spanlite prices reset"),
    ("prices_recompute", "spanlite prices recompute"),
    (
        "mcp",
        "echo '{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}' | spanlite mcp",
    ),
    (
        "generate",
        "spanlite generate -n 3 --profile chat --store new.spans",
    ),
    (
        "bundle",
        "spanlite bundle b.spans --where '{ status = error }'; spanlite list --store b.spans",
    ),
    ("info", "spanlite info"),
    ("config", "spanlite config"),
    ("verify", "spanlite verify"),
    ("doctor", "spanlite doctor | grep -v '\\bdisk\\b'"),
    (
        "gc",
        "spanlite gc --older 1d --dry-run; spanlite gc --older 1d; spanlite gc --older 1d --yes; spanlite list",
    ),
    (
        "delete",
        "spanlite delete @ --dry-run; spanlite delete @; spanlite delete @ --yes",
    ),
    (
        "redact",
        "spanlite redact --rule 'pattern=order:order \\d+' --dry-run; spanlite redact; spanlite redact --rule 'pattern=order:order \\d+' --yes",
    ),
    ("compact", "spanlite compact"),
    (
        "backup",
        "spanlite backup copy.spans; spanlite backup copy.spans",
    ),
    ("recover", "spanlite recover --out fixed.spans"),
    ("init", "spanlite init; spanlite init --store new.spans"),
    ("open", "spanlite open @ --print; spanlite open @ --raw"),
    ("tui", "spanlite tui"),
    (
        "demo",
        "spanlite demo --store new.spans 2>&- | grep spanlite",
    ),
    ("help", "spanlite help"),
    (
        "help_of",
        "spanlite help prices; spanlite help receive; spanlite help proxy; spanlite help show",
    ),
    ("version", "spanlite version"),
    (
        "completions",
        "spanlite completions bash | head -n 3; spanlite completions tcsh",
    ),
    ("man", "spanlite man | head -n 12; spanlite man nothing"),
    (
        "nothing",
        "for it in list stats sessions 'values name' show tail 'query {}' 'prices missing' verify \
      'feedback list' 'check {}' 'delete @' redact 'diff @ @-1' 'span @/x' 'export --to jsonl -' compact; \
      do spanlite $it --store empty.spans; echo \"$it: $?\"; done",
    ),
    (
        "slips",
        "spanlite lisst; spanlite list --sinc 1h; spanlite list --since soon; spanlite show xyz; \
      spanlite prices shw; spanlite export --to csv x; spanlite list --format yaml; spanlite help nothing; \
      spanlite query '{ status = failed }'; spanlite query '{ nmae = 1 }'; spanlite stats --by modle; \
      spanlite list --store gone.spans",
    ),
];

/// What the lines may use.
const PRELUDE: &str = "
spanlite() { \"$SPANLITE\" \"$@\"; }
TO='--to mlflow --url http://127.0.0.1:1 --experiment agents'
until_told() {
    shift
    : > said
    \"$SPANLITE\" \"$@\" > said &
    for try in $(seq 500); do grep -q Ctrl-C said && break; sleep 0.02; done
    kill -TERM $!
    wait $!
    cat said
}
";

/// How a case is run: a label, and variables of the environment.
const VARIANTS: [(&str, &[(&str, &str)]); 6] = [
    ("60", &[("COLUMNS", "60")]),
    ("80", &[("COLUMNS", "80")]),
    ("120", &[("COLUMNS", "120")]),
    ("200", &[("COLUMNS", "200")]),
    (
        "80 in colour",
        &[("COLUMNS", "80"), ("SPANLITE_COLOR", "always")],
    ),
    ("80 in ASCII", &[("COLUMNS", "80"), ("LC_ALL", "C")]),
];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
            fs::set_permissions(&target, entry.metadata().unwrap().permissions()).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs a line in a copy of the folder.
fn run(template: &Place, line: &str, variables: &[(&str, &str)]) -> Run {
    let place = Place::empty();
    copy(template.folder.path(), place.folder.path());
    let mut shell = Command::new("sh");
    let named = place.command(&[]);
    for (name, value) in named.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell
        .args(["-c", &format!("{PRELUDE}\n{line}")])
        .current_dir(place.folder.path())
        .env_remove("LANG")
        .env_remove("SPANLITE_STORE")
        .env("LC_ALL", "C.UTF-8")
        .env("SPANLITE", named.get_program())
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    place.run_command(&mut shell)
}

/// The text with what differs from run to run made equal, as long as before where it stands in
/// columns.
fn settled(text: &str) -> String {
    let digits = Regex::new(r"\d+(\.\d+)? ([KMG]iB|bytes)").unwrap();
    let text = digits.replace_all(text, |found: &regex::Captures<'_>| {
        found[0].replace(|c: char| c.is_ascii_digit(), "#")
    });
    let settled = [
        (r"a-[0-9a-f]{32}", "a-00000000000000000000000000000000"),
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "00000000-0000-0000-0000-000000000000",
        ),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
        (r"spanlite-\w{6}\.html", "spanlite-NAME.html"),
        (r"[#.]+ ([KMG]iB) free", "##.# GiB free"),
        (r" in \d+(\.\d+)?(ns|µs|us|ms|s)\b", " in TIME"),
        ("\x1b", "␛"),
    ];
    settled
        .iter()
        .fold(text.into_owned(), |text, (pattern, with)| {
            let pattern = Regex::new(pattern).unwrap();
            pattern.replace_all(&text, *with).into_owned()
        })
}

/// A case in all its variants; those that look alike are shown once.
fn drawn(template: &Place, line: &str) -> String {
    let mut seen: Vec<(Vec<&str>, String)> = Vec::new();
    for (label, variables) in VARIANTS {
        let text = settled(&run(template, line, variables).transcript());
        match seen.iter_mut().find(|(_, other)| *other == text) {
            Some((labels, _)) => labels.push(label),
            None => seen.push((vec![label], text)),
        }
    }
    let parts = seen.into_iter();
    let parts = parts.map(|(labels, text)| format!("=== {}\n{text}\n", labels.join(", ")));
    parts.collect()
}

#[test]
fn every_command_looks_as_before() {
    let template = Place::with_agents();
    fs::copy(AGENTS, template.path("agents.json")).unwrap();
    template.write(
        "prices.csv",
        "# as of 2026-11-01\n\
         provider,model,from,above_tokens,input,output,cache_read,cache_write,cache_write_1h\n\
         ,house,,,1,1,,,\n",
    );
    template.done(&["init", "--store", "empty.spans"]);
    let next = AtomicUsize::new(0);
    let mut found: Vec<(usize, String)> = thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            while let index = next.fetch_add(1, Ordering::Relaxed)
                && let Some((_, line)) = CASES.get(index)
            {
                found.push((index, drawn(&template, line)));
            }
            found
        };
        #[expect(
            clippy::needless_collect,
            reason = "all start before the first is waited for"
        )]
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let found = workers.into_iter().map(|worker| worker.join().unwrap());
        found.flatten().collect()
    });
    found.sort_unstable();
    for (index, text) in found {
        let (name, line) = CASES[index];
        insta::with_settings!({description => line, omit_expression => true}, {
            insta::assert_snapshot!(name, text);
        });
    }
}

/// The commands that a page of help lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // A description that needs more than one line is further in.
    let lines = lines.filter(|line| !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(ToOwned::to_owned).collect()
}

#[test]
fn every_command_is_shown() {
    let place = Place::empty();
    let mut leaves = BTreeSet::new();
    for command in listed(&place.done(&["help"])) {
        let below = listed(&place.done(&["help", &command]));
        if below.is_empty() {
            leaves.insert(command);
            continue;
        }
        leaves.extend(below.iter().map(|name| format!("{command} {name}")));
    }
    assert!(leaves.len() > 50, "{leaves:?}");
    let is_shown = |command: &String| {
        let words = Regex::new(&format!(r"\bspanlite {command}(\W|$)")).unwrap();
        CASES.iter().any(|(_, line)| words.is_match(line))
    };
    let missing: Vec<&String> = leaves.iter().filter(|it| !is_shown(it)).collect();
    assert!(missing.is_empty(), "no case shows {missing:?}");
}
