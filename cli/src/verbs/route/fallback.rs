//! To which other routes messages go on.

use naru_shared::domain::{Route, RouteName};

use crate::{desk::Book, exit::Failure};

/// Refuses a list that names what is not there, leads elsewhere than its route, or back to it. Returns the routes that messages come to
/// by it, as they are: whoever writes the list writes them again, so that it holds only while they lead nowhere else.
pub(super) async fn check(book: &Book, route: &Route) -> anyhow::Result<Vec<Route>> {
    if route.fallback.is_empty() {
        return Ok(Vec::new());
    }
    let refuse =
        |why: String| -> anyhow::Error { Failure::Refused(format!("route {}: {why}", route.name)).into() };
    if route.fallback.len() > Route::FALLBACKS {
        return Err(refuse(format!("messages go on to at most {} other routes", Route::FALLBACKS)));
    }
    let routes = book.routes().await?;
    let find = |name: &RouteName| routes.iter().find(|other| other.name == *name);
    for (index, name) in route.fallback.iter().enumerate() {
        let Some(other) = find(name) else {
            return Err(Failure::NotFound("route", name.to_string()).into());
        };
        if other.environment != route.environment {
            return Err(refuse(format!("`{name}` carries messages of the other environment")));
        }
        if route.fallback[..index].contains(name) {
            return Err(refuse(format!("`{name}` is named twice")));
        }
    }
    // Whatever can be come to from here, by the lists as they will be.
    let mut seen: Vec<&RouteName> = Vec::new();
    let mut next: Vec<&RouteName> = route.fallback.iter().collect();
    while let Some(name) = next.pop() {
        if *name == route.name {
            let why = "messages would go in a circle: one of its fallbacks leads back to it";
            return Err(refuse(why.to_owned()));
        }
        if !seen.contains(&name) {
            seen.push(name);
            next.extend(find(name).into_iter().flat_map(|other| &other.fallback));
        }
    }
    Ok(seen.into_iter().filter_map(find).cloned().collect())
}
