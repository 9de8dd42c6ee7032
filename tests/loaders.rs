//! Data sets as their publishers give them: files of each published layout, made up, in the
//! encodings and line ends that the published ones have, found from the folder, the archive's root
//! or a file; and the examples of docs/data.md.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sordino_client::event::{Context, EventKind, PlaybackEvent};
use sordino_simulator::dataset::Dataset;
use sordino_simulator::error::Result;
use sordino_simulator::loaders::load;
use std::path::{Path, PathBuf};

// A folder of files, removed at the end.
struct Set(tempfile::TempDir);

impl Set {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let set = Self(tempfile::tempdir().expect("a folder"));
        files.iter().for_each(|(name, bytes)| set.add(name, bytes));
        set
    }

    fn add(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, bytes).expect("a file");
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).expect("it was there");
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.0.path().to_owned() } else { self.0.path().join(name) }
    }

    fn read(&self, kind: &str, name: &str) -> Result<Dataset> {
        load(&format!("{kind}:{}", self.path(name).display()))
    }

    fn good(&self, kind: &str, name: &str) -> Dataset {
        self.read(kind, name).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn refused(&self, kind: &str, name: &str) -> String {
        match self.read(kind, name) {
            Ok(_) => panic!("{name} was read"),
            Err(error) => error.to_string(),
        }
    }
}

// Everything that is known of a set.
type All = (Vec<Vec<PlaybackEvent>>, Vec<String>, Vec<String>, Vec<Vec<String>>);

fn all(dataset: &Dataset) -> All {
    let events = (0..dataset.devices()).map(|device| dataset.events(device).into_owned()).collect();
    let names = |row: &Vec<(u32, f32)>| row.iter().map(|(f, _)| dataset.content.names[*f as usize].clone()).collect();
    let features = dataset.content.rows.iter().map(names).collect();
    (events, dataset.track_names.clone(), dataset.titles.clone(), features)
}

fn times(dataset: &Dataset) -> Vec<i64> {
    all(dataset).0.concat().iter().map(|event| event.time.0).collect()
}

#[test]
fn movielens_as_comma_separated_values() {
    // latest-small, latest, 20M, 25M and 32M: a header, UTF-8, commas and quotes in titles, a title
    // with quotes.
    let set = Set::of(&[
        ("ml-made/README.txt", b"made up"),
        ("ml-made/ratings.csv", b"userId,movieId,rating,timestamp\n1,7,4.0,900000001\n1,9,0.5,900000002\n2,7,5.0,900000003\n2,11,3.5,900000004"),
        (
            "ml-made/movies.csv",
            "movieId,title,genres\n7,\"Made, The (1994)\",Comedy|Drama\n9,\"A \"\"Made\"\" Up Café (2001)\",(no genres listed)\n\
             10,Never Rated (1990),War\n11,No Year,Sci-Fi\n"
                .as_bytes(),
        ),
        ("ml-made/tags.csv", b"userId,movieId,tag,timestamp\n1,7,fine,900000009\n"),
        ("ml-made/links.csv", b"movieId,imdbId,tmdbId\n7,1,2\n"),
    ]);
    let dataset = set.good("movielens", "ml-made");
    let (events, tracks, titles, features) = all(&dataset);
    assert_eq!(tracks, ["7", "9", "11"]);
    assert_eq!(titles, ["Made, The (1994)", "A \"Made\" Up Café (2001)", "No Year"]);
    assert_eq!(features, [vec!["1990s", "Comedy", "Drama"], vec![], vec!["Sci-Fi"]]);
    assert_eq!(events.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(times(&dataset)[0], 900_000_001_000);
    assert!(dataset.notes.is_empty(), "{:?}", dataset.notes);
    for other in ["", "ml-made/ratings.csv"] {
        assert_eq!(all(&set.good("movielens", other)), all(&dataset), "{other}");
    }
    let text = std::fs::read_to_string(set.path("ml-made/ratings.csv")).expect("text");
    set.add("ml-made/ratings.csv", text.replace('\n', "\r\n").as_bytes());
    let movies = std::fs::read_to_string(set.path("ml-made/movies.csv")).expect("text");
    set.add("ml-made/movies.csv", format!("\u{feff}{}", movies.replace('\n', "\r\n")).as_bytes());
    assert_eq!(all(&set.good("movielens", "ml-made")), all(&dataset), "carriage returns");
    set.add("ml-made/ratings.csv", format!("{}\r\n2,9", text.replace('\n', "\r\n")).as_bytes());
    let words = set.refused("movielens", "ml-made");
    assert!(words.contains("line 6: 4 fields are needed but there are 2"), "{words}");
    set.add("ml-made/ratings.csv", b"user,movieId,stars,time\n1,2,3,4\n");
    let words = set.refused("movielens", "ml-made");
    assert!(words.contains("no columns userId, rating, timestamp"), "{words}");
}

#[test]
fn movielens_100k_in_latin_1() {
    let item = |id: u32, title: &str, genres: [u8; 19]| {
        let genres = genres.map(|genre| genre.to_string()).join("|");
        format!("{id}|{title}|01-Jan-1995||http://us.imdb.com/M/title-exact?made|{genres}\n")
    };
    let mut genres = [0; 19];
    (genres[4], genres[5]) = (1, 1);
    let items = item(3, "Caf\u{e9} & d\u{e9}j\u{e0} vu (1995)", genres) + &item(4, "unknown", [0; 19]);
    let latin: Vec<u8> = items.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let set = Set::of(&[
        ("ml-100k/u.data", b"196\t3\t3\t881250949\n22\t4\t1\t878887116\n22\t3\t5\t878887117\n"),
        ("ml-100k/u.item", &latin),
        ("ml-100k/u.genre", b"unknown|0\nAction|1\n\n"),
        ("ml-100k/u1.base", b"1\t1\t5\t874965758\n"),
        ("ml-100k/u.user", b"196|49|M|writer|55105\n"),
    ]);
    let dataset = set.good("movielens", "ml-100k");
    let (_, tracks, titles, features) = all(&dataset);
    assert_eq!(tracks, ["3", "4"]);
    assert_eq!(titles, ["Café & déjà vu (1995)", "unknown"]);
    assert_eq!(features[0], ["1995s", "Children's", "Comedy"]);
    assert_eq!(all(&set.good("movielens", "ml-100k/u.data")), all(&dataset));
}

#[test]
fn movielens_1m_and_10m_with_two_colons() {
    let ratings = b"1::1193::5::978300760\n1::661::3::978302109\n2::1193::4.5::978298413\n";
    let title = "Les Enfants: Caf\u{e9} (1946)";
    let latin: Vec<u8> = format!("661::{title}::Drama|Romance\n1193::Made:: Up (1975)::Drama\n")
        .chars()
        .map(|c| u8::try_from(u32::from(c)).expect("Latin-1"))
        .collect();
    let set = Set::of(&[
        ("ml-1m/ratings.dat", ratings),
        ("ml-1m/movies.dat", &latin),
        ("ml-1m/users.dat", b"1::F::1::10::48067\n"),
        ("ml-1m/README", b"made up"),
    ]);
    let one = set.good("movielens", "");
    let (_, tracks, titles, features) = all(&one);
    assert_eq!(tracks, ["661", "1193"]);
    assert_eq!(titles, [title, "Made:: Up (1975)"]);
    assert_eq!(features[1], ["1975s", "Drama"]);
    // 10M has its movies in UTF-8.
    let utf8: String = latin.iter().map(|&byte| char::from(byte)).collect();
    let ten = Set::of(&[
        ("ml-10M100K/ratings.dat", ratings),
        ("ml-10M100K/movies.dat", utf8.as_bytes()),
        ("ml-10M100K/tags.dat", b"15::4973::excellent!::1215184630\n"),
        ("ml-10M100K/split_ratings.sh", b"#!/bin/bash\n"),
    ]);
    assert_eq!(all(&ten.good("movielens", "ml-10M100K")), all(&one));
    ten.remove("ml-10M100K/movies.dat");
    let bare = ten.good("movielens", "");
    assert!(bare.notes[0].contains("nothing is public of the movies"), "{:?}", bare.notes);
}

#[test]
fn hetrec_lastfm_in_two_encodings() {
    let set = Set::of(&[
        ("user_artists.dat", b"userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t11690\r\n3\t51\t228\r\n3\t9\t0\r\n"),
        ("artists.dat", "id\tname\turl\tpictureURL\n9\tNobody\thttp://x\t\n51\tSigur \"Rós\"\thttp://x\thttp://y\n52\t坂本\thttp://x\n".as_bytes()),
        ("tags.dat", b"tagID\ttagValue\n13\tchillout\n15\trock fran\xe7ais"),
        (
            "user_taggedartists.dat",
            b"userID\tartistID\ttagID\tday\tmonth\tyear\n2\t52\t13\t1\t4\t2009\n3\t52\t13\t1\t1\t2009\n3\t51\t15\t1\t5\t2010\n2\t51\t15\t1\t1\t1956\n",
        ),
        (
            "user_taggedartists-timestamps.dat",
            b"userID\tartistID\ttagID\ttimestamp\n2\t52\t13\t1238536800000\n3\t52\t13\t1230764400000\n3\t51\t15\t1272664800000\n2\t51\t15\t-441853200000\n",
        ),
        ("user_friends.dat", b"userID\tfriendID\n2\t3\n"),
        ("readme.txt", b"made up by Iv\xe1n"),
    ]);
    let dataset = set.good("lastfm", "");
    let (events, tracks, titles, features) = all(&dataset);
    assert_eq!(tracks, ["51", "52"]);
    assert_eq!(titles, ["Sigur \"Rós\"", "坂本"]);
    assert_eq!(features, [vec!["rock français"], vec!["chillout"]]);
    assert_eq!(events.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(dataset.passed_over, [("play count of zero".to_owned(), 1)]);
    assert!(!dataset.dated && dataset.notes.is_empty(), "{:?}", dataset.notes);
    assert_eq!(all(&set.good("lastfm", "user_artists.dat")), all(&dataset));
    // The two files of tags say the same.
    set.remove("user_taggedartists.dat");
    assert_eq!(all(&set.good("lastfm", "")), all(&dataset));
    set.remove("user_taggedartists-timestamps.dat");
    set.remove("artists.dat");
    assert_eq!(set.good("lastfm", "").notes.len(), 2);
    assert!(set.refused("lastfm", "tags.dat").contains("is not user_artists.dat"));
}

const NCF: [(&str, &[u8]); 3] = [
    ("Data/ml-1m.train.rating", b"0\t32\t4\t978824330\n0\t34\t4\t978824331\n1\t32\t5\t978824332\n"),
    ("Data/ml-1m.test.rating", b"0\t25\t5\t978824351\n1\t133\t3\t978300174\n"),
    ("Data/ml-1m.test.negative", b"(0,25)\t1064\t174\n(1,133)\t1072\t3154"),
];

#[test]
fn ncf_by_folder_file_or_common_name() {
    let set = Set::of(&NCF);
    let dataset = set.good("ncf", "Data");
    assert_eq!(dataset.track_names, ["25", "32", "34", "133", "174", "1064", "1072", "3154"]);
    let tests = dataset.fixed_test.as_ref().expect("tests");
    assert_eq!(tests[1].test.map(|track| dataset.track_names[track.row()].clone()), Some("133".into()));
    assert_eq!(tests[1].negatives.len(), 2);
    assert!(dataset.dated);
    for path in ["", "Data/ml-1m", "Data/ml-1m.train.rating", "Data/ml-1m.test.negative"] {
        assert_eq!(all(&set.good("ncf", path)), all(&dataset), "{path}");
    }
    // The second set of the authors' folder, without times.
    for ((name, bytes), is_rows) in NCF.iter().zip([true, true, false]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let rows = text.lines().map(|line| line.rsplit_once('\t').map_or(line, |(row, _)| row)).collect::<Vec<_>>();
        let text = if is_rows { rows.join("\n") } else { text };
        set.add(&name.replace("ml-1m", "pinterest-20"), text.as_bytes());
    }
    let words = set.refused("ncf", "Data");
    assert!(words.contains("several sets") && words.contains("Data/pinterest-20"), "{words}");
    let undated = set.good("ncf", "Data/pinterest-20");
    assert!(!undated.dated && undated.notes[0].contains("no times"), "{:?}", undated.notes);
    assert_eq!(undated.track_names, dataset.track_names);
    set.remove("Data/ml-1m.test.negative");
    assert!(set.refused("ncf", "Data/ml-1m").contains("ml-1m.test.negative: is not there"));
}

const LOG: &str = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,\
                   play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n";
const VIDEOS: &str = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,\
                      server_height,music_id,music_type,tag\n";

// One row: user, video, time, like, follow, forward, hate, played, duration, is it random.
fn row(user: u32, video: u32, second: i64, said: [u8; 4], played: i64, duration: i64, random: u8) -> String {
    let [like, follow, forward, hate] = said;
    let time = 1_649_400_000_000 + second * 1000;
    format!(
        "{user},{video},20220408,1600,{time},1,{like},{follow},0,{forward},{hate},0,{played},{duration},0,0,0,{random},1\n"
    )
}

fn kuairand(version: &str) -> Set {
    let early =
        LOG.to_owned() + &row(3, 1071, 10, [1, 0, 0, 0], 175_045, 87_433, 0) + &row(5, 7, 5, [0; 4], 0, 9000, 0);
    let late = LOG.to_owned()
        + &row(3, 7, 2_000_000, [0, 1, 1, 0], 8000, 9000, 0)
        + &row(3, 12, 1_900_000, [0; 4], 1000, 9000, 0);
    let random = LOG.to_owned() + &row(5, 99, 1_950_000, [0, 0, 0, 1], 100, 9000, 1);
    let videos = VIDEOS.to_owned()
        + "7,441,NORMAL,2022-04-10,ShortImport,1,9000.0,720,1280,98920,4,\"12,65\"\n"
        + "12,442,NORMAL,2022-04-10,Web,0.0,9000.0,720.0,1280.0,,9.0,\n"
        + "8,1,AD,2022-04-10,Web,1,1,1,1,1,1,1\n";
    let root = format!("KuaiRand-{version}");
    let at = |name: &str| format!("{root}/data/{name}_{version}.csv");
    Set::of(&[
        (&format!("{root}/LICENSE"), b"made up"),
        (&format!("{root}/load_data_{version}.py"), b"import pandas"),
        (&at("log_standard_4_08_to_4_21"), early.as_bytes()),
        (&at("log_standard_4_22_to_5_08"), late.as_bytes()),
        (&at("log_random_4_22_to_5_08"), random.as_bytes()),
        (&at("video_features_basic"), videos.as_bytes()),
        (&at("video_features_statistic"), b"video_id,counts,show_cnt\n7,66,75.212\n"),
        (&at("user_features"), b"user_id,user_active_degree\n3,full_active\n"),
    ])
}

#[test]
fn kuairand_as_published() {
    let set = kuairand("pure");
    let dataset = set.good("kuairand", "KuaiRand-pure/data");
    let (events, tracks, _, features) = all(&dataset);
    assert_eq!(tracks, ["7", "12", "1071"]);
    let kinds: Vec<Vec<EventKind>> = events.iter().map(|e| e.iter().map(|event| event.kind).collect()).collect();
    // In the order of time, over the files.
    assert_eq!(
        kinds,
        [
            vec![EventKind::Replay, EventKind::Like, EventKind::Skip, EventKind::Play, EventKind::AddToPlaylist],
            vec![EventKind::Skip],
        ]
    );
    let first = events[0][0];
    assert_eq!((first.seconds_listened, first.track_seconds), (Some(175.045), Some(87.433)));
    assert_eq!((first.time.0, first.context), (1_649_400_010_000, Context::Place(1)));
    assert_eq!(features[0], ["author 441", "music 4", "tag 12", "tag 65", "upload ShortImport"]);
    assert_eq!(features[1], ["author 442", "music 9", "upload Web"]);
    assert!(features[2].is_empty(), "nothing is public of it");
    assert!(dataset.notes[0].contains("log_standard_4_08_to_4_21_pure.csv (2 plays)"), "{:?}", dataset.notes);
    assert!(
        dataset.notes[1].contains("log_random_4_22_to_5_08_pure.csv") && dataset.notes.len() == 2,
        "{:?}",
        dataset.notes
    );
    for path in ["", "KuaiRand-pure"] {
        assert_eq!(all(&set.good("kuairand", path)), all(&dataset), "{path}");
    }
}

#[test]
fn kuairands_random_log_is_read_when_it_is_asked_for() {
    let set = kuairand("1k");
    let kinds = |option: &str| {
        let path = format!("KuaiRand-1k{option}");
        let dataset = set.good("kuairand", &path);
        (dataset.track_names.clone(), all(&dataset).0.concat().len())
    };
    assert_eq!(kinds("?random=no"), kinds(""));
    assert_eq!(kinds("?random=with"), (["7", "12", "99", "1071"].map(String::from).to_vec(), 8));
    assert_eq!(kinds("?random=only"), (vec!["99".into()], 2));
    let words = set.refused("kuairand", "KuaiRand-1k?random=perhaps");
    assert!(words.contains("?random=with"), "{words}");
    set.remove("KuaiRand-1k/data/log_random_4_22_to_5_08_1k.csv");
    assert!(set.refused("kuairand", "KuaiRand-1k?random=only").contains("holds no log_random_"));
    let one = set.good("kuairand", "KuaiRand-1k/data/log_standard_4_22_to_5_08_1k.csv");
    assert_eq!(one.track_names, ["7", "12"]);
}

#[test]
fn kuairands_parts_are_read_together_and_missing_ones_are_said() {
    let set = kuairand("27k");
    let folder = "KuaiRand-27k/data";
    for period in ["4_08_to_4_21", "4_22_to_5_08"] {
        let whole = format!("{folder}/log_standard_{period}_27k.csv");
        let text = std::fs::read_to_string(set.path(&whole)).expect("text");
        let rows: Vec<&str> = text.lines().collect();
        for part in [1, 2] {
            let text = format!("{}\r\n{}\r\n", rows[0], rows[part]);
            set.add(&format!("{folder}/log_standard_{period}_27k_part{part}.csv"), text.as_bytes());
        }
        set.remove(&whole);
    }
    let dataset = set.good("kuairand", "");
    assert_eq!(all(&dataset), all(&kuairand("pure").good("kuairand", "")));
    set.remove(&format!("{folder}/log_standard_4_08_to_4_21_27k_part2.csv"));
    set.remove(&format!("{folder}/video_features_basic_27k.csv"));
    let less = set.good("kuairand", "");
    let notes = less.notes.join("\n");
    assert!(notes.contains("log_standard_4_08_to_4_21_27k_part2.csv is not there"), "{notes}");
    assert!(notes.contains("video_features_basic_27k.csv is not there"), "{notes}");
    // Two versions side by side are not one set.
    set.add(&format!("{folder}/log_standard_4_08_to_4_21_pure.csv"), LOG.as_bytes());
    assert!(set.refused("kuairand", "").contains("27k and as pure"));
}

#[test]
fn kuairand_that_is_not_kuairand_is_refused() {
    let set = kuairand("pure");
    let log = "KuaiRand-pure/data/log_standard_4_08_to_4_21_pure.csv";
    set.add(log, b"user_id,video_id,timestamp\n1,2,3\n");
    let words = set.refused("kuairand", "");
    assert!(words.contains("time_ms, is_like, is_follow, is_forward, is_hate, play_time_ms, duration_ms"), "{words}");
    set.add(log, (LOG.to_owned() + &row(1, 2, 3, [0; 4], 1, 1, 0) + "1,2,2022").as_bytes());
    let words = set.refused("kuairand", "");
    assert!(words.contains("line 3: 19 fields are needed but there are 3"), "{words}");
    set.add(log, (LOG.to_owned() + &row(1, 2, 3, [0; 4], 1, 1, 0).replace(",16494", ",x")).as_bytes());
    let words = set.refused("kuairand", "");
    assert!(words.contains("line 2: 'x00003000' is not a whole number"), "{words}");
    set.add(log, (LOG.to_owned() + ",7,20220408,1600,1649400000000,1,0,0,0,0,0,0,1,1,0,0,0,0,1\n").as_bytes());
    assert_eq!(set.good("kuairand", "").passed_over, [("user, video or time missing".to_owned(), 1)]);
}

#[test]
fn what_is_still_packed_says_how_to_unpack_it() {
    for (kind, name, start, command) in [
        ("movielens", "ml-1m.zip", &b"PK\x03\x04"[..], "unzip 'ml-1m.zip'"),
        ("lastfm", "hetrec2011-lastfm-2k.zip", b"PK\x03\x04", "unzip 'hetrec2011-lastfm-2k.zip'"),
        ("kuairand", "KuaiRand-Pure.tar.gz", b"\x1f\x8b\x08", "tar -xf 'KuaiRand-Pure.tar.gz'"),
        ("ncf", "ml-1m.train.rating.gz", b"\x1f\x8b\x08", "gunzip 'ml-1m.train.rating.gz'"),
        ("csv", "plays.csv.gz", b"\x1f\x8b\x08", "gunzip 'plays.csv.gz'"),
    ] {
        let set = Set::of(&[(name, start)]);
        let words = set.refused(kind, name);
        assert!(words.contains(command), "{kind}: {words}");
        if kind != "csv" {
            let words = set.refused(kind, "");
            assert!(words.contains(command), "{kind}: {words}");
        }
    }
}

// The real cut, where it is: its rows written in the publisher's layout are the same set.
#[test]
fn a_cut_of_kuairand_written_as_published_is_the_same_set() {
    let Some(cut) = sordino_tests::reference("kuairand-pure") else { return };
    let set = Set::of(&[]);
    for (from, to) in [
        ("events.parquet", "data/log_standard_4_22_to_5_08_pure.csv"),
        ("item_features.parquet", "data/video_features_basic_pure.csv"),
    ] {
        let bytes = std::fs::read(cut.join(from)).expect("a file");
        set.add(to, as_csv(&cut.join(from)).as_bytes());
        set.add(&format!("cut/{from}"), &bytes);
    }
    let (published, parquet) = (set.good("kuairand", "data"), set.good("kuairand", "cut"));
    let sorted = |dataset: &Dataset| {
        let (mut events, tracks, titles, features) = all(dataset);
        events.iter_mut().for_each(|events| events.sort_by_key(|event| (event.time, event.track, event.kind)));
        (events, tracks, titles, features)
    };
    assert!(published.devices() > 20_000 && published.content.rows.iter().any(|row| !row.is_empty()));
    let (ours, theirs) = (sorted(&published), sorted(&parquet));
    assert_eq!(ours.1, theirs.1);
    assert!(ours.3 == theirs.3, "the same features");
    assert!(ours.0 == theirs.0, "the same events");
    assert_eq!((published.now, published.passed_over), (parquet.now, parquet.passed_over));
}

// Every row of a Parquet file, with a header; empty where nothing is known.
fn as_csv(path: &Path) -> String {
    let reader = SerializedFileReader::new(std::fs::File::open(path).expect("a file")).expect("Parquet");
    let mut text = String::new();
    for row in reader.get_row_iter(None).expect("rows") {
        let row = row.expect("a row");
        if text.is_empty() {
            let names: Vec<&str> = row.get_column_iter().map(|(name, _)| name.as_str()).collect();
            text = names.join(",") + "\n";
        }
        let field = |field: &Field| match field {
            Field::Null => String::new(),
            Field::Str(value) => format!("\"{}\"", value.replace('"', "\"\"")),
            other => other.to_string(),
        };
        let fields: Vec<String> = row.get_column_iter().map(|(_, value)| field(value)).collect();
        text.push_str(&(fields.join(",") + "\n"));
    }
    text
}

// The examples of docs/data.md: each block that is marked `csv` is a file of a user's own.
#[test]
fn the_examples_of_the_page_are_read() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/data.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let examples: Vec<&str> = page.split("```csv\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 3, "{}", examples.len());
    for example in examples {
        let set = Set::of(&[("example.csv", example.as_bytes())]);
        let dataset = set.good("csv", "example.csv");
        assert!(dataset.passed_over.is_empty(), "{example}: {:?}", dataset.passed_over);
        assert_eq!(dataset.devices(), 2, "{example}");
        assert_eq!(times(&dataset)[0] / 86_400_000, 19_723, "{example}");
    }
}
