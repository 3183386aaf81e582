//! What can be typed of X Media Studio.

use crate::desk::args::Boxes;
use clap::{Args, Subcommand};
use std::path::PathBuf;

const WHO: &str = "\
Who asks X:
  The boxes that are named (BOX, --tag, --all, --box), each with an account that is linked to it.
  With --here this computer, with an account that is linked here.
  upload and download mean --here where no box is named, as their files are on this computer; with a
  box, FILE is on the box.

With --json each box, or this computer as \"here\", is one object on one line.
Ctrl-C ends with 130. An upload or download goes on from there when the same is typed again.";

/// `fieldcast studio`.
#[derive(Debug, Args)]
#[command(after_help = WHO, subcommand_required = true, arg_required_else_help = true)]
pub struct Studio {
    /// This computer asks X, with an account that is linked here
    #[arg(long, global = true)]
    pub here: bool,
    /// The linked account that asks [default: the one of the settings, or the only one]
    #[arg(long, global = true, value_name = "NAME")]
    pub account: Option<String>,
    /// What.
    #[command(subcommand)]
    pub verb: StudioVerb,
}

/// What the Studio is asked.
#[derive(Debug, Subcommand)]
pub enum StudioVerb {
    /// Let a box, or this computer with --here, act for an account of X
    ///
    /// You sign in at X in a browser on this computer; X sends it back to
    /// http://127.0.0.1:8722/callback, which has to be a callback of your app at X. The tokens go to
    /// the box once, over TLS or on loopback only. A token is for one box: link each.
    #[command(verbatim_doc_comment)]
    Link(Link),
    /// List the linked accounts
    Accounts(Boxes),
    /// Forget an account, and let its tokens be worth nothing
    Unlink(Boxes),
    /// List the Sources
    Sources(Boxes),
    /// Show, create, rename or delete a Source
    Source {
        /// What to do.
        #[command(subcommand)]
        verb: SourceVerb,
    },
    /// List the last Broadcasts, newest first
    Broadcasts {
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// How many
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
    },
    /// Show, end or delete a Broadcast
    Broadcast {
        /// What to do.
        #[command(subcommand)]
        verb: BroadcastVerb,
    },
    /// List what is scheduled
    Schedules(Boxes),
    /// Take back or begin what is scheduled; `fieldcast schedule` makes and changes it
    Schedule {
        /// What to do.
        #[command(subcommand)]
        verb: ScheduleVerb,
    },
    /// Upload an image, GIF or video; type the same again to go on with one that was interrupted
    Upload {
        /// The file
        file: PathBuf,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// X's media category, such as amplify_video [default: by what the file is]
        #[arg(long)]
        category: Option<String>,
        /// What those are told who do not see it, up to 1000 characters
        #[arg(long, value_name = "TEXT")]
        alt_text: Option<String>,
    },
    /// Post a text, uploaded media, or both
    Post {
        /// The text
        text: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// The id of an upload; up to four times
        #[arg(long, value_name = "ID")]
        media: Vec<String>,
    },
    /// Show a media object and its variants
    Media {
        /// Its media key
        key: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
    },
    /// Download the best variant of a media object; type the same again to go on
    Download {
        /// Its media key
        key: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// The file [default on a box: named by the key, with its recordings]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// `fieldcast studio link`.
#[derive(Debug, Args)]
pub struct Link {
    /// Which box.
    #[command(flatten)]
    pub boxes: Boxes,
    /// Your app at X [default: of the box's settings, the environment or the configuration file]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// The port of the callback
    #[arg(long, default_value_t = 8722, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Show the address only; it has to be opened on this computer
    #[arg(long)]
    pub no_browser: bool,
    /// Take OAuth 1.0a user tokens from this file: consumer-key, consumer-secret, token, token-secret
    #[arg(long, value_name = "FILE", conflicts_with_all = ["client_id", "port", "no_browser"])]
    pub oauth1: Option<PathBuf>,
}

/// `fieldcast studio source`.
#[derive(Debug, Subcommand)]
pub enum SourceVerb {
    /// Show a Source
    Get(Of),
    /// Create a Source
    Create {
        /// Its name
        name: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
        /// Its region [default: the one that X recommends where it is asked]
        #[arg(long)]
        region: Option<String>,
    },
    /// Give a Source another name
    Rename {
        /// Its id
        id: String,
        /// Its new name
        name: String,
        /// Which boxes.
        #[command(flatten)]
        boxes: Boxes,
    },
    /// Delete a Source; asks before
    Delete(Of),
}

/// `fieldcast studio broadcast`.
#[derive(Debug, Subcommand)]
pub enum BroadcastVerb {
    /// Show a Broadcast
    Get(Of),
    /// End a Broadcast, whoever made it; asks before
    End(Of),
    /// Delete a Broadcast that has ended; asks before
    Delete(Of),
}

/// `fieldcast studio schedule`.
#[derive(Debug, Subcommand)]
pub enum ScheduleVerb {
    /// Take a scheduled Broadcast back
    Cancel(Of),
    /// Begin a scheduled Broadcast now
    Start(Of),
}

/// One thing of the Studio.
#[derive(Debug, Args)]
pub struct Of {
    /// Its id
    pub id: String,
    /// Which boxes.
    #[command(flatten)]
    pub boxes: Boxes,
}

/// `fieldcast publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// Which boxes.
    #[command(flatten)]
    pub boxes: Boxes,
    /// The title, and the text of the post
    #[arg(long)]
    pub title: Option<String>,
    /// A category of the Studio, a hashtag in the post; at most two (--tag chooses boxes)
    #[arg(long = "hashtag", value_name = "CATEGORY")]
    pub hashtags: Vec<String>,
    /// Who may chat
    #[arg(long, value_name = "WHO", value_parser = CHAT)]
    pub chat: Option<String>,
    /// Public all the same, but without a post
    #[arg(long)]
    pub no_post: bool,
    /// Such as en_US
    #[arg(long)]
    pub locale: Option<String>,
    /// A Source of the box's settings [default: the primary one]
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
}

/// `fieldcast schedule`.
#[derive(Debug, Args)]
pub struct Schedule {
    /// Which boxes.
    #[command(flatten)]
    pub boxes: Boxes,
    /// Change the scheduled Broadcast of this id: what is not given stays as it is
    #[arg(long)]
    pub id: Option<String>,
    /// When it begins, such as 2026-11-23T18:00:00Z
    #[arg(long, value_name = "TIME", required_unless_present = "id")]
    pub start: Option<String>,
    /// When it ends
    #[arg(long, value_name = "TIME", required_unless_present = "id")]
    pub end: Option<String>,
    /// The id of a Source of the Studio, or the name of one of the box's settings
    #[arg(long, required_unless_present = "id")]
    pub source: Option<String>,
    /// Its title
    #[arg(long)]
    pub title: Option<String>,
    /// Its description
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Who may chat
    #[arg(long, value_name = "WHO", value_parser = CHAT)]
    pub chat: Option<String>,
    /// Such as en_US
    #[arg(long)]
    pub locale: Option<String>,
}

const CHAT: [&str; 5] = ["off", "everyone", "verified", "followed", "subscribers"];
