//! Tests that boot a kernel.

use crate::pretended::{MIDFLIGHT, Scratch, ends_with, is_static, pretended, run};
use std::path::Path;
use std::process::Command;

/// A kernel and its modules, and QEMU to boot it.
fn kernel() -> Option<[String; 2]> {
    let from_environment = ["MIDFLIGHT_TEST_KERNEL", "MIDFLIGHT_TEST_MODULES"].map(std::env::var);
    let fetched = Path::new(MIDFLIGHT)
        .ancestors()
        .map(|directory| directory.join("on-kernel/linux-image-cloud-amd64"))
        .find(|directory| directory.join("kernel").exists());
    let found = match (from_environment, fetched) {
        ([Ok(kernel), Ok(modules)], _) => Some([kernel, modules]),
        (_, Some(fetched)) => {
            Some(["kernel", "modules"].map(|name| fetched.join(name).display().to_string()))
        }
        _ => None,
    };
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    if found.is_none() || !qemu {
        eprintln!("skipped, nothing tested: no kernel (`make run-tests-on-kernels` fetches one), or no QEMU");
        return None;
    }
    found.filter(|_| is_static())
}

#[test]
fn output_and_exit_code_come_back_exactly() {
    let Some([kernel, modules]) = kernel() else { return };
    let inside = |arguments: &[&str]| {
        let mut words = vec!["--kernel", &kernel, "--modules", &modules, "--timeout", "300"];
        words.extend(["--append", "kvm_amd.npt=0", "--"]);
        words.extend(arguments);
        run(&words)
    };
    let here = |arguments: &[&str]| Command::new(MIDFLIGHT).args(arguments).output().unwrap();
    for arguments in [["list", "*"], ["list", "two words; $(no shell)"]] {
        let (inside, here) = (inside(&arguments), here(&arguments));
        let errors = String::from_utf8_lossy(&inside.stderr).into_owned();
        assert_eq!(inside.status.code(), here.status.code(), "{errors}");
        assert_eq!(inside.stdout, here.stdout);
        assert!(errors.contains("kvm_amd WITHOUT NPT"), "what is appended reaches the kernel: {errors}");
        assert!(errors.ends_with(&*String::from_utf8_lossy(&here.stderr)), "{errors}");
    }
}

#[test]
fn a_kernel_refuses_modules_of_another() {
    let Some([kernel, _]) = kernel() else { return };
    let scratch = Scratch::new("refused");
    let arguments = pretended(&scratch);
    let output = run(&["--kernel", &kernel, "--modules", &arguments[3], "--timeout", "300", "--", "list"]);
    let refused = "on the kernel under test: the kernel refused the module kvm: ";
    ends_with(&output, &[refused, "do kernel and modules belong together?"]);
}

#[test]
fn a_kernel_whose_kvm_is_neither_built_in_nor_a_module_is_a_sentence() {
    let Some([kernel, _]) = kernel() else { return };
    let output = run(&["--kernel", &kernel, "--timeout", "300", "--", "list"]);
    let missing = "on the kernel under test: kvm_amd is not in this kernel, nor among";
    ends_with(&output, &[missing, "give the directory of its modules with --modules"]);
}

#[test]
fn a_file_in_the_directory_for_temporary_ones_is_there() {
    let Some([kernel, modules]) = kernel() else { return };
    let list = std::env::temp_dir().join(format!("midflight-list-{}.toml", std::process::id()));
    std::fs::write(&list, "no list\n").unwrap();
    let list_file = list.display().to_string();
    let mut words =
        vec!["--kernel", &kernel, "--modules", &modules, "--timeout", "300", "--file", &list_file];
    words.extend([
        "--",
        "run",
        "pf/read-unmapped:idt:cold",
        "--machine",
        "kvm",
        "--known-issues",
        &list_file,
    ]);
    let output = run(&words);
    std::fs::remove_file(list).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains(&format!("{list_file}:1: ")), "{errors}");
}
