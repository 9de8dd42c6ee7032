//! What loading costs: `load_speed write FOLDER [ROWS]` makes the same listening up as Parquet and as the publishers'
//! files, `load_speed load KIND:PATH` loads one of them and does nothing else, so that its processor time can be taken:
//!
//!     cargo build --release -p sordino-simulator --example load_speed
//!     target/release/examples/load_speed write made-up 1000000
//!     time target/release/examples/load_speed load kuairand:made-up/parquet
//!     time target/release/examples/load_speed load kuairand:made-up/published

use parquet::data_type::Int64Type;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sordino_simulator::loaders::load;
use std::error::Error;
use std::fs::{File, create_dir_all};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["write", folder] => write(Path::new(folder), 1_000_000),
        ["write", folder, rows] => write(Path::new(folder), rows.parse()?),
        ["load", specification] => {
            let dataset = load(specification)?;
            println!("{} devices, {} tracks", dataset.devices(), dataset.tracks());
            Ok(())
        }
        _ => Err("load_speed write FOLDER [ROWS] or load_speed load KIND:PATH".into()),
    }
}

fn write(folder: &Path, rows: u64) -> Result<(), Box<dyn Error>> {
    let folders = ["parquet", "published", "movielens"].map(|name| folder.join(name));
    folders.iter().try_for_each(create_dir_all)?;
    let plays: Vec<[i64; COLUMNS.len()]> = (0..rows).map(play).collect();
    write_parquet(&folders[0].join("events.parquet"), &plays)?;
    let mut published = BufWriter::new(File::create(folders[1].join("log_standard_4_22_to_5_08_pure.csv"))?);
    let mut ratings = BufWriter::new(File::create(folders[2].join("ratings.csv"))?);
    let mut own = BufWriter::new(File::create(folder.join("own.csv"))?);
    writeln!(published, "{}", COLUMNS.join(","))?;
    writeln!(ratings, "userId,movieId,rating,timestamp")?;
    writeln!(own, "user,item,timestamp,kind,seconds_listened,duration")?;
    for row in &plays {
        let fields: Vec<String> = row.iter().map(i64::to_string).collect();
        writeln!(published, "{}", fields.join(","))?;
        let [user, video, .., played, duration, _] = *row;
        let (second, played, duration) = (row[4] / 1000, played as f64 / 1000.0, duration as f64 / 1000.0);
        writeln!(ratings, "{user},{video},3.5,{second}")?;
        writeln!(own, "{user},{video},{second},play,{played},{duration}")?;
    }
    Ok(())
}

// A play that looks like one and is nobody's, by the remainders of its number.
fn play(row: u64) -> [i64; COLUMNS.len()] {
    let n = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let (user, video) = (row / 40, n % 7583);
    let (duration, flag) = (5000 + n % 200_000, |every: u64| u64::from(n.is_multiple_of(every)));
    let columns = [
        user,
        video,
        20_220_408,
        1600,
        1_649_400_000_000 + (row % 40) * 60_000 + n % 50_000,
        flag(2),
        flag(50),
        flag(300),
        flag(400),
        flag(500),
        flag(1000),
        flag(3),
        n % duration,
        duration,
        n % 15,
    ];
    columns.map(|value| value as i64)
}

fn write_parquet(path: &Path, rows: &[[i64; COLUMNS.len()]]) -> Result<(), Box<dyn Error>> {
    let fields: Vec<String> = COLUMNS.iter().map(|name| format!("required int64 {name};")).collect();
    let schema = Arc::new(parse_message_type(&format!("message plays {{ {} }}", fields.join(" ")))?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(File::create(path)?, schema, properties)?;
    let mut group = writer.next_row_group()?;
    for column in 0..COLUMNS.len() {
        let values: Vec<i64> = rows.iter().map(|row| row[column]).collect();
        let mut part = group.next_column()?.ok_or("a column of the schema")?;
        part.typed::<Int64Type>().write_batch(&values, None, None)?;
        part.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

const COLUMNS: [&str; 15] = [
    "user_id",
    "video_id",
    "date",
    "hourmin",
    "time_ms",
    "is_click",
    "is_like",
    "is_follow",
    "is_comment",
    "is_forward",
    "is_hate",
    "long_view",
    "play_time_ms",
    "duration_ms",
    "tab",
];
