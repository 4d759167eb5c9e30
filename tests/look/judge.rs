//! What is wrong with a page as a person sees it: judged in the browser, by what it rendered.
//!
//! Hands back a sentence for each thing that is wrong; [`crate::main`]'s tests want none, and some where they broke
//! the page themselves.

use serde_json::{Value, json};

use crate::browser::Browser;

/// A page, and how it shows that it is right.
pub struct Page {
    /// Its name in those of pictures.
    pub name: &'static str,
    /// Where it is.
    pub path: &'static str,
    /// Part of its title.
    pub title: &'static str,
    /// Something that can be read on it.
    pub text: &'static str,
    /// An element that is to be seen, a property of it, and what only the page's own styles make of that.
    pub styled: (&'static str, &'static str, &'static str),
}

/// Looks at the page where it is.
const LOOK: &str = r#"
const [wanted, former] = arguments;
const wrong = [];
const text = document.body ? document.body.innerText : '';
if (!document.title.includes(wanted.title)) wrong.push(`the title is "${document.title}"`);
if (!text.includes(wanted.text)) wrong.push(`nowhere "${wanted.text}", but: ${text.slice(0, 300)}`);
const slip = text.match(/(Notice|Warning|Deprecated|Fatal error|Parse error): .* on line \d+/);
if (slip) wrong.push(`PHP complains: ${slip[0]}`);
const message = text.match(/⧼[^⧽]*⧽/);
if (message) wrong.push(`a message has no text: ${message[0]}`);

const [selector, property, value] = wanted.styled;
const element = document.querySelector(selector);
if (!element) {
    wrong.push(`no ${selector}`);
} else {
    const box = element.getBoundingClientRect();
    if (box.width < 10 || box.height < 10) wrong.push(`${selector} is ${box.width} by ${box.height}`);
    const found = getComputedStyle(element).getPropertyValue(property);
    if (found !== value) wrong.push(`${property} of ${selector} is ${found} and not ${value}`);
}
let rules = 0;
for (const sheet of document.styleSheets) {
    const own = sheet.href === null || new URL(sheet.href).host === location.host;
    if (!own) continue;
    if (sheet.href !== null && sheet.cssRules.length === 0) wrong.push(`no style in ${sheet.href}`);
    rules += sheet.cssRules.length;
}
if (rules < 10) wrong.push(`only ${rules} rules of style`);

const pieces = [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')];
for (const piece of pieces) {
    if (new URL(piece.name).host !== location.host) continue;
    if (piece.responseStatus !== 200) wrong.push(`${piece.responseStatus} for ${piece.name}`);
}
for (const image of document.images) {
    const own = new URL(image.src, location.href).host === location.host;
    if (own && image.complete && image.naturalWidth === 0) wrong.push(`a broken image: ${image.src}`);
}
if (former) {
    const addresses = [...document.links, ...document.images, ...document.scripts, ...document.querySelectorAll('link')];
    for (const item of addresses) {
        const address = item.href || item.src || '';
        if (address.includes(`//${former}`)) wrong.push(`an address of its former name: ${address}`);
    }
}
return {wrong, pieces: pieces.length, rules};
"#;

/// Counts what colours a picture has, and how much of it the most frequent of them takes.
const COLOURS: &str = r"
const [picture, done] = arguments;
const image = new Image();
image.onload = () => {
    const canvas = document.createElement('canvas');
    canvas.width = image.width;
    canvas.height = image.height;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const data = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const seen = new Map();
    for (const colour of data) seen.set(colour, (seen.get(colour) || 0) + 1);
    done({colours: seen.size, most: Math.max(...seen.values()) / data.length});
};
image.src = `data:image/png;base64,${picture}`;
";

/// What was seen.
pub struct Seen {
    /// What is wrong.
    pub wrong: Vec<String>,
    /// A PNG in base64.
    pub picture: String,
}

/// Looks at a page of a site.
///
/// # Panics
/// When the browser does not do what it is told.
pub async fn look(browser: &Browser, site: &str, page: &Page, former: Option<&str>) -> Seen {
    browser.open("about:blank").await;
    drop(browser.console().await);
    let url = format!("{site}{}", page.path);
    browser.open(&url).await;
    let wanted = json!({"title": page.title, "text": page.text, "styled": [page.styled.0, page.styled.1, page.styled.2]});
    let found = browser.run(LOOK, json!([wanted, former])).await;
    let mut wrong: Vec<String> = strings(&found["wrong"]);
    let picture = browser.picture().await;
    for (level, line) in browser.console().await {
        // What is asked of others than the site is not there where this runs.
        if level == "SEVERE" && (line.starts_with(site) || !line.starts_with("http")) {
            wrong.push(format!("on the console: {line}"));
        }
    }
    browser.open("about:blank").await;
    let shown = browser.run_async(COLOURS, json!([picture])).await;
    let (colours, most) = (&shown["colours"], &shown["most"]);
    let (colours, most) = (
        colours.as_u64().expect("a number"),
        most.as_f64().expect("a number"),
    );
    if colours < 16 || most > 0.995 {
        wrong.push(format!(
            "nearly blank: {colours} colours, one of them takes {most:.3}"
        ));
    }
    println!(
        "  {url}: {} pieces, {} rules of style, {colours} colours, {} wrong",
        found["pieces"],
        found["rules"],
        wrong.len()
    );
    Seen { wrong, picture }
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("text").to_owned())
        .collect()
}
