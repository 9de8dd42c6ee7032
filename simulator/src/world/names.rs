//! Invented names for what the world numbers. For people alone: what is learnt goes by the numbers, so figures do not depend on them.

/// A feature of the world's catalogue as people would call it.
pub fn spoken(feature: &str) -> String {
    let Some((kind, number)) = feature.split_once(' ').and_then(|(kind, n)| Some((kind, n.parse::<usize>().ok()?)))
    else {
        return feature.to_owned();
    };
    let of = |names: &[&str]| match number / names.len() {
        0 => names[number].to_owned(),
        // Worlds with more of them than there are names.
        again => format!("{} {}", names[number % names.len()], again + 1),
    };
    match kind {
        "genre" => of(&GENRES),
        "decade" => of(&DECADES),
        _ => feature.to_owned(),
    }
}

// None of them is a genre of this world.
const GENRES: [&str; 24] = [
    "harbour folk",
    "glass pop",
    "night tram",
    "brass & rain",
    "orchard soul",
    "slow voltage",
    "mill town rock",
    "paper disco",
    "attic jazz",
    "salt techno",
    "lantern choir",
    "low tide dub",
    "velvet march",
    "copper blues",
    "snow house",
    "garden punk",
    "ferry waltz",
    "dust country",
    "window ambient",
    "signal beat",
    "moss metal",
    "carnival swing",
    "tin opera",
    "river rap",
];
const DECADES: [&str; 6] = ["1970s", "1980s", "1990s", "2000s", "2010s", "2020s"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_number_has_a_name_of_its_own() {
        let names: BTreeSet<String> = (0..60).map(|genre| spoken(&format!("genre {genre}"))).collect();
        assert_eq!(names.len(), 60);
        assert!(names.iter().all(|name| !name.contains("genre")));
        assert_eq!(spoken("decade 2"), "1990s");
        for kept in ["artist 7", "word love", "genre", "genre x", ""] {
            assert_eq!(spoken(kept), kept);
        }
    }
}
