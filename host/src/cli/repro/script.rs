//! The script that repeats a scenario, and the text that says what lies beside it.

use super::name;
use super::part::{Parts, Wrote};
use crate::scenario::Scenario;
use std::path::Path;

/// What the texts are about.
pub(super) struct Script<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) image: &'a str,
    pub(super) parts: &'a Parts<'a>,
    pub(super) guest: &'a Wrote,
    pub(super) trace: &'a Wrote,
}

impl Script<'_> {
    /// The script. Ids, names of machines and of images need no quotes.
    pub(super) fn text(&self) -> String {
        let Self { scenario, image, parts, .. } = self;
        let (on, seconds) = (parts.on().join(" "), parts.timeout.as_secs_f64());
        let resume = match self.guest {
            Wrote::Yes => format!(
                "if [ \"${{1-}}\" = resume ]; then\n    shift\n    exec \"$program\" resume {} \"$@\"\nfi\n",
                name::GUEST
            ),
            Wrote::Not(_) => String::new(),
        };
        format!(
            "#!/bin/sh\n\
             # Repeats {scenario}.\n\
             # Options are passed on; one that names a machine takes the place of its own: ./{} --machine=kvm\n\
             cd \"$(dirname \"$0\")\" || exit 2\n\
             program=\"${{MIDFLIGHT-./{}}}\"\n\
             {resume}\
             case \" $* \" in\n\
             *' --machine '* | *' --machine='* | *' --behaviour '* | *' --behaviour='*) ;;\n\
             *) set -- {on} \"$@\" ;;\n\
             esac\n\
             exec \"$program\" run {scenario} --image {image} --frames --timeout {seconds} \"$@\"\n",
            name::SCRIPT,
            name::PROGRAM,
        )
    }

    /// What lies in the directory.
    pub(super) fn read_me(&self) -> String {
        let on = self.parts.on().join(" ");
        let mut text = format!("{}\n\nrun with: {on}\n\n", self.scenario);
        for (file, what) in self.files() {
            text.push_str(&format!("{file:14} {what}\n"));
        }
        for (what, wrote) in [("guest", self.guest), ("trace", self.trace)] {
            if let Wrote::Not(why) = wrote {
                text.push_str(&format!("\nThere is no {what}: {why}\n"));
            }
        }
        text
    }

    fn files(&self) -> Vec<(&str, String)> {
        let program = "the program, one static file: nothing else is needed on an x86-64 Linux";
        let mut files = vec![
            (name::SCRIPT, "repeats the scenario; options are passed on, such as --machine kvm".to_owned()),
            (name::PROGRAM, program.to_owned()),
            (self.image, "the guest's image".to_owned()),
            (name::HOST, "where this was made".to_owned()),
            (name::RESULT, "what it came to there, with every captured frame".to_owned()),
            (name::PAGE, "the same for a browser".to_owned()),
        ];
        if let Wrote::Yes = self.trace {
            let what = "what the model does with it, step by step, for comparison".to_owned();
            files.push((name::TRACE, what));
        }
        if let Wrote::Yes = self.guest {
            let what =
                format!("the guest, saved at its cut: ./{} resume continues it from there", name::SCRIPT);
            files.push((name::GUEST, what));
        }
        files
    }

    /// What is said when the directory is complete.
    pub(super) fn summary(&self, directory: &Path) -> String {
        let names: Vec<&str> = self.files().into_iter().map(|(name, _)| name).collect();
        format!("{}: {}, {}", directory.display(), names.join(", "), name::READ_ME)
    }
}
