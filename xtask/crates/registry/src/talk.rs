//! Asks one server one question: meets challenges, and tells what each status means. `way` brings
//! the question to the server, `patience` decides on further attempts.

use ureq::http::Method;

use super::body::Body;
use super::endpoint::{self, Endpoint, Trust};
use super::error::{Obstacle, Trouble};
use super::passes::{Access, Reach};
use super::text::{Said, host_of, says, wait_of};
use super::transport::{Answer, Limits, Take};
use super::way::{of_server, trouble};
use super::{Effort, Registries, challenge, manifest, pass};
use reference::Reference;

/// What a question is about.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A path below the reference's repository.
    Below(&'a str),
    /// A whole address, which the registry named before.
    Address(&'a str),
}

impl Place<'_> {
    /// The path at the server, or the whole address.
    fn at(self, repository: &str) -> String {
        match self {
            Self::Below(path) => format!("/v2/{repository}/{path}"),
            Self::Address(url) => url.to_owned(),
        }
    }
}

/// A question.
#[derive(Clone)]
pub struct Question<'a> {
    /// The method.
    pub method: Method,
    /// What it is about.
    pub place: Place<'a>,
    /// What it does with the repository.
    pub access: Access,
    /// Headers, without the proof.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent.
    pub body: Body<'a>,
    /// What becomes of the answer's body.
    pub take: Take,
    /// Statuses of an answer that has what was asked for.
    pub good: &'static [u16],
    /// Limits other than the usual ones.
    pub limits: Option<Limits>,
}

impl<'a> Question<'a> {
    /// A question that only reads.
    pub fn read(method: Method, path: &'a str, limit: u64) -> Self {
        Self {
            method,
            place: Place::Below(path),
            access: Access::Pull,
            headers: vec![("accept", manifest::ACCEPT.to_owned())],
            body: Body::None,
            take: Take::Whole(limit),
            good: &[200],
            limits: None,
        }
    }
}

impl Registries {
    /// Asks, with the proof that is known or that the server asks for.
    pub(super) fn ask_once(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        effort: Effort,
        question: Question<'_>,
    ) -> Result<Answer, Trouble> {
        let repository = &reference.repository;
        let place = question.place.at(repository);
        let mut question = Question {
            place: match question.place {
                Place::Below(_) => Place::Below(&place),
                Place::Address(_) => Place::Address(&place),
            },
            ..question
        };
        if effort == Effort::Brief {
            question.limits = Some(self.patience.brief());
        }
        // Another server than the registry, such as a store for uploads, gets no proof.
        let is_own = match question.place {
            Place::Below(_) => true,
            Place::Address(url) => host_of(url).as_deref() == Some(&endpoint.host),
        };
        let host = &endpoint.host;
        let known = self.passes.find(host, repository, &question.access);
        let known = known.filter(|_| is_own);
        let bare = question.headers.clone();
        question
            .headers
            .extend(known.map(|pass| ("authorization", pass)));
        let answer = self.speak(endpoint, &question)?;
        if answer.status != 401 || !is_own {
            return self.judged(endpoint, &question.access, question.good, answer);
        }
        let (pass, reach) = self.pass(endpoint, repository, &answer, &question)?;
        question.headers = bare;
        question.headers.push(("authorization", pass.clone()));
        let told = self.speak(endpoint, &question);
        // A proof that the server does not take is of no use to others. It could even keep them
        // from what everyone may read.
        if told.as_ref().map_or(true, |answer| answer.status != 401) {
            let access = &question.access;
            self.passes.keep(host, repository, access, reach, &pass);
        }
        self.judged(endpoint, &question.access, question.good, told?)
    }

    /// The header's value that meets the challenge of `refusal`.
    fn pass(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        refusal: &Answer,
        question: &Question<'_>,
    ) -> Result<(String, Reach), Trouble> {
        let access = &question.access;
        let refused = || self.refused(endpoint, access, refusal);
        let headers = refusal.headers.get_all("www-authenticate").iter();
        let challenge = challenge::read(headers.filter_map(|header| header.to_str().ok()));
        let challenge = challenge.ok_or_else(refused)?;
        let known = self.keyring().of(&endpoint.host);
        let trust = |host: &str| endpoint::at(host, self.settings()).trust;
        let mut url = String::new();
        let next = pass::next(&challenge, &known, repository, access, &mut url, trust);
        let ask = match next.map_err(Trouble::Useless)? {
            None => return Err(refused()),
            Some(pass::Next::Header(header)) => return Ok((header, Reach::Host)),
            Some(pass::Next::Token(ask)) => ask,
        };
        let host = host_of(ask.url).unwrap_or_default();
        let verify = trust(&host) != Trust::Insecure;
        // The limits of a large body are not those of a token.
        let limits = question
            .limits
            .filter(|limits| *limits == self.patience.brief());
        let answer = self.transport.exchange(&ask, verify, limits);
        let answer = answer.map_err(|broken| of_server(trouble(broken), &host))?;
        let answer = self.judged(endpoint, access, &[200], answer)?;
        let pass = pass::of_answer(&answer).map_err(Trouble::Useless)?;
        Ok((pass, Reach::Repository))
    }

    /// The answer if it has what was asked for, else the meaning of its status.
    fn judged(
        &self,
        endpoint: &Endpoint,
        access: &Access,
        good: &[u16],
        answer: Answer,
    ) -> Result<Answer, Trouble> {
        let wait = answer.header("retry-after").and_then(wait_of);
        let status = answer.status;
        if good.contains(&status) {
            return Ok(answer);
        }
        match (status, access) {
            (401 | 403, _) => Err(self.refused(endpoint, access, &answer)),
            (429, _) => Err(Trouble::TooMany { wait }),
            (404, Access::Pull) => Err(Trouble::Missing),
            (_, Access::Pull) => Err(Trouble::Status {
                status,
                says: says(&answer.body),
                wait,
            }),
            (_, Access::Push | Access::Mount { .. } | Access::Remove) => {
                let said = Said::read(&answer.body);
                let says = said.clause();
                Err(match Obstacle::of(status, &said) {
                    Some(obstacle) => Trouble::NotTaken {
                        status,
                        says,
                        obstacle,
                    },
                    None => Trouble::Status { status, says, wait },
                })
            }
        }
    }

    fn refused(&self, endpoint: &Endpoint, access: &Access, refusal: &Answer) -> Trouble {
        let known = self.keyring().of(&endpoint.host);
        Trouble::Refused {
            status: refusal.status,
            logged_in: known.login.is_some(),
            keyring: known.trouble,
            says: match access {
                Access::Pull => String::new(),
                Access::Push | Access::Mount { .. } | Access::Remove => {
                    Said::read(&refusal.body).clause()
                }
            },
        }
    }
}
