//! The editor's form: what arrives, what it means, and how it is shown again.

use serde::Deserialize;

use super::views::EditForm;
use crate::{
    app::{
        layout::FieldErrors,
        posts::post::{Content, Kind, Post, split_names},
    },
    base::{Error, Id, Result, Timestamp},
    text::{address::Address, date, slug::slugify},
};

/// The fields as the browser sends them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Input {
    pub(super) action: String,
    pub(super) revision: i64,
    /// The id that a new post will have, made when its empty form was shown.
    new_id: String,
    /// What somebody else saved in between, as this person was shown it.
    their_revision: i64,
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) address: String,
    pub(super) description: String,
    pub(super) tags: String,
    pub(super) authors: String,
    pub(super) published: String,
    pub(super) markdown: String,
}

/// What the pressed button asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Save and leave it published or not, as it is.
    Save,
    Publish,
    Unpublish,
    /// Only show what it would look like.
    Preview,
}

impl Input {
    /// Reads a URL-encoded form.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is damaged.
    pub(super) fn parse(body: &str) -> Result<Self> {
        let mut input: Self = serde_urlencoded::from_str(body).map_err(|e| {
            Error::Invalid(format!(
                "the form that arrived cannot be read ({e}), so nothing was saved"
            ))
        })?;
        // Browsers send line ends as CR LF (HTML, "constructing the entry list").
        input.markdown = input.markdown.replace("\r\n", "\n").replace('\r', "\n");
        Ok(input)
    }

    /// The revision that a save is checked against: the one that was opened, or for "save mine over
    /// theirs", theirs as it was shown. If there is a newer one still, it is a conflict again.
    pub(super) fn expected_revision(&self) -> i64 {
        if self.action == "save-mine" {
            self.their_revision
        } else {
            self.revision
        }
    }

    /// The id for a new post. A form that is sent twice names the same one both times.
    pub(super) fn new_id(&self) -> Id {
        let fresh = Id::new();
        // Only one that was made already, so that nobody can choose one of the future.
        let named = self.new_id.parse().ok();
        named
            .filter(|id: &Id| id.0 > 0 && *id < fresh)
            .unwrap_or(fresh)
    }

    pub(super) fn action(&self) -> Action {
        match self.action.as_str() {
            "publish" => Action::Publish,
            "unpublish" => Action::Unpublish,
            "preview" => Action::Preview,
            _ => Action::Save,
        }
    }

    /// What the fields mean. `before` is the post as it is stored, `None` for a new one.
    pub(super) fn to_content(
        &self,
        before: Option<&Post>,
        zone: &jiff::tz::TimeZone,
    ) -> Result<Content, FieldErrors> {
        self.meaning(self.action(), before, zone)
    }

    /// What the fields mean if another button were pressed.
    pub(super) fn meaning(
        &self,
        action: Action,
        before: Option<&Post>,
        zone: &jiff::tz::TimeZone,
    ) -> Result<Content, FieldErrors> {
        let mut problems = Vec::new();
        let address = self
            .parse_address(before)
            .map_err(|e| problems.push(("address", e)));
        let typed = self
            .parse_date(before, zone)
            .map_err(|e| problems.push(("published", e)))
            .unwrap_or_default();
        let was_published_at = before.and_then(|post| post.content.published_at);
        // An emptied date of what is published changes nothing; a draft's is taken away.
        let at = typed.or(was_published_at);
        let (published_at, draft_at) = match (action, was_published_at) {
            (Action::Publish, _) => (Some(at.unwrap_or_else(Timestamp::now)), None),
            (Action::Save | Action::Preview, Some(_)) => (at, None),
            (Action::Unpublish, _) | (Action::Save | Action::Preview, None) => (None, at),
        };
        let content = Content {
            kind: Kind::from_name(&self.kind),
            title: self.title.clone(),
            description: self.description.clone(),
            markdown: self.markdown.clone(),
            tags: split_names(&self.tags, ','),
            authors: split_names(&self.authors, ';'),
            address: address
                .clone()
                .unwrap_or_else(|()| Address::from_stored("/-".into())),
            published_at,
            draft_at,
        };
        match content.checked() {
            Ok(content) if problems.is_empty() => Ok(content),
            Ok(_) => Err(FieldErrors(problems)),
            Err(more) => Err(FieldErrors(more.into_iter().chain(problems).collect())),
        }
    }

    /// Whether the address is to be made from the title.
    pub(super) fn wants_made_address(&self, before: Option<&Post>) -> bool {
        self.address.trim().is_empty() && before.is_none()
    }

    fn parse_address(&self, before: Option<&Post>) -> Result<Address, String> {
        let typed = self.address.trim();
        match before {
            Some(post) if typed.is_empty() => Ok(post.content.address.clone()),
            // An imported address is kept, even if it is one that could not be typed today.
            Some(post) if typed == post.content.address.as_str() => {
                Ok(post.content.address.clone())
            }
            None if typed.is_empty() => Ok(made_address(&self.title)),
            _ => Address::parse(typed).map_err(|e| e.to_string()),
        }
    }

    /// The date that was typed. An untouched one is the stored one: the form shows neither seconds nor,
    /// when a clock was put back, which of two equal hours it was.
    fn parse_date(
        &self,
        before: Option<&Post>,
        zone: &jiff::tz::TimeZone,
    ) -> Result<Option<Timestamp>, String> {
        let typed = self.published.trim();
        let stored = before.and_then(|post| post.content.date());
        match stored {
            _ if typed.is_empty() => Ok(None),
            Some(at) if date::for_form(at, zone) == typed => Ok(Some(at)),
            _ => date::parse(typed, zone).map(Some),
        }
    }

    /// The fields, to be shown again.
    pub(super) fn to_view(&self, id: Option<Id>, revision: i64) -> EditForm {
        EditForm {
            id: id.map(|id| id.to_string()),
            new_id: self.new_id().to_string(),
            revision,
            kind: Kind::from_name(&self.kind).as_str().to_owned(),
            title: self.title.clone(),
            address: self.address.clone(),
            description: self.description.clone(),
            tags: self.tags.clone(),
            authors: self.authors.clone(),
            published: self.published.clone(),
            markdown: self.markdown.clone(),
        }
    }
}

/// An address from a title; one from the clock where the title has no letter or digit.
fn made_address(title: &str) -> Address {
    let slug = slugify(title);
    let made = if slug.is_empty() {
        format!("post-{}", Id::new())
    } else {
        slug
    };
    // A title such as "Admin" or "Tags" would make an address of the program's own.
    Address::parse(&made).unwrap_or_else(|_| Address::from_stored(format!("/{made}-post")))
}

/// A stored post as the form shows it.
pub(super) fn view_of(post: &Post, zone: &jiff::tz::TimeZone) -> EditForm {
    let content = &post.content;
    EditForm {
        id: Some(post.id.to_string()),
        new_id: String::new(),
        revision: post.revision,
        kind: content.kind.as_str().to_owned(),
        title: content.title.clone(),
        address: content.address.as_str().to_owned(),
        description: content.description.clone(),
        tags: content.tags.join(", "),
        authors: content.authors.join("; "),
        published: content
            .date()
            .map(|at| date::for_form(at, zone))
            .unwrap_or_default(),
        markdown: content.markdown.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_date_is_kept_to_the_second_and_in_the_hour_that_comes_twice() {
        let zone = jiff::tz::TimeZone::get("Europe/Zurich").expect("a zone");
        // 2024-10-27, 02:30:15 in Zurich, before and after the clock was put back, and 12:00:00.
        for at in [1_729_989_015, 1_729_992_615, 1_730_026_800] {
            for is_draft in [false, true] {
                let at = Some(Timestamp(at));
                let mut post = Post {
                    id: Id(1),
                    revision: 1,
                    created_at: Timestamp(0),
                    updated_at: Timestamp(0),
                    trashed_at: None,
                    content: Content {
                        kind: Kind::Post,
                        title: "Post".into(),
                        description: String::new(),
                        markdown: String::new(),
                        tags: vec![],
                        authors: vec![],
                        address: Address::from_stored("/post".into()),
                        published_at: at,
                        draft_at: None,
                    },
                    rendered: crate::app::posts::post::Rendered::from_markdown(""),
                };
                if is_draft {
                    (post.content.published_at, post.content.draft_at) = (None, at);
                }
                let shown = view_of(&post, &zone);
                let mut input = Input {
                    title: shown.title,
                    published: shown.published,
                    ..Input::default()
                };
                let dates = |input: &Input| {
                    let content = input.to_content(Some(&post), &zone).expect("it is valid");
                    (content.published_at, content.draft_at)
                };
                assert_eq!(
                    dates(&input),
                    (post.content.published_at, post.content.draft_at)
                );
                input.action = "publish".into();
                assert_eq!(dates(&input), (at, None));
                input.action = "unpublish".into();
                assert_eq!(dates(&input), (None, at));
                input.published = "2014-12-12 09:30".into();
                assert_eq!(dates(&input).1, Some(Timestamp(1_418_373_000)));
            }
        }
    }
}
