//! Reports.
use crate::output::Results;
/// text
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    for n in &results.notes {
        out.push_str(n);
        out.push('\n');
    }
    for (name, m) in &results.methods {
        let g = |k: &str| m.measured.metrics[k].mean;
        out.push_str(&format!(
            "{name:12} hr {:.4} ndcg {:.4} full {:.4} r20full {:.4} sec {:.3} ups {:?} rss {}\n",
            g("hr@10"),
            g("ndcg@10"),
            g("ndcg@10_full"),
            g("recall@20_full"),
            m.seconds_training,
            m.device_updates_per_second,
            m.peak_rss_bytes / 1000000
        ));
    }
    for c in &results.curve {
        out.push_str(&format!("{:?}\n", c));
    }
    out
}
/// page
pub fn page(_r: &Results) -> String {
    String::new()
}
/// cmp
pub fn comparison_text(_a: &[(String, Results)]) -> String {
    String::new()
}
/// cmp
pub fn comparison_page(_a: &[(String, Results)]) -> String {
    String::new()
}
