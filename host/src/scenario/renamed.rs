//! Names of cases that this version no longer has: each is refused with the one that took its place.

/// A case that has another name now.
struct Renamed {
    image: &'static str,
    case: &'static str,
    problem: &'static str,
}

macro_rules! renamed {
    ($($image:literal: $($old:literal => $new:literal),*;)*) => {
        &[$($(Renamed {
            image: $image,
            case: $old,
            problem: concat!("the case `", $image, "/", $old, "` is now called `", $image, "/", $new, "`"),
        }),*),*]
    };
}

const RENAMED: &[Renamed] = renamed! {
    "nmi":
        "behind-pf" => "after-pf",
        "behind-gp" => "after-gp",
        "blocked-behind-pf" => "blocked-after-pf",
        "blocked-behind-ud" => "blocked-after-ud",
        "interrupt-behind-sti" => "interrupt-after-sti",
        "interrupt-behind-pf" => "interrupt-after-pf";
    "window":
        "interrupt-behind-fault" => "interrupt-after-fault";
};

/// What is wrong with `text`, an id or a filter, if it names a case by its earlier name: of the case's image, or
/// without an image.
pub(super) fn problem(text: &str) -> Option<&'static str> {
    let components: Vec<_> = text.split(super::SEPARATORS).map(|one| one.trim_matches('*')).collect();
    let names = |renamed: &&Renamed| {
        components.iter().enumerate().any(|(index, component)| {
            let image = if index == 0 { "" } else { components[index - 1] };
            *component == renamed.case && (image.is_empty() || image == renamed.image)
        })
    };
    RENAMED.iter().find(names).map(|renamed| renamed.problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_name_is_answered_with_the_one_of_now() {
        let now = Some("the case `nmi/behind-pf` is now called `nmi/after-pf`");
        for text in ["nmi/behind-pf", "nmi/behind-pf:fred:cold", "behind-pf", "*behind-pf*", "*/behind-pf:*"]
        {
            assert_eq!(problem(text), now, "{text}");
        }
        for text in
            ["nmi/after-pf:fred:cold", "mine/behind-pf", "nmi", "*", "", "behind", "nmi/blocked-behind-gp"]
        {
            assert_eq!(problem(text), None, "{text}");
        }
    }

    #[test]
    fn the_images_have_the_names_of_now() {
        // A bare clone has no images yet.
        let Ok(images) = crate::images::load(&[]) else { return };
        let has = |image: &str, case: &str| {
            let image = images.iter().find(|one| one.name == image).unwrap();
            image.cases.iter().any(|one| one.name == case)
        };
        for Renamed { image, case, problem } in RENAMED {
            let now = problem.rsplit(['/', '`']).nth(1).unwrap();
            assert!(has(image, now) && !has(image, case), "{problem}");
        }
    }
}
