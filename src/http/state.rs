//! What an answer depends on beside the request.
//!
//! Owns what may be replaced while running, as one value. Must not know how it is loaded.

use super::route::Route;
use super::trust::Trust;
use crate::config::{Profiles, ServiceConfig, services};
use crate::issuer::Issuer;
use crate::login::Logins;
use crate::login::clients::Clients;
use crate::policy::Enforcement;

/// What an answer depends on beside the request.
#[derive(Debug)]
pub struct State {
    /// Makes the tokens.
    pub issuer: Issuer,
    /// Decides what may be in them.
    pub enforcement: Enforcement,
    /// Who may say who the user is.
    pub trust: Trust,
    /// Who has a password; `None` where none is checked here.
    pub logins: Option<Logins>,
    /// The programs that may ask about tokens, or end them.
    pub clients: Clients,
    /// The audiences beside the issuer's own.
    pub allowed_services: Vec<String>,
    /// Which further tokens are made.
    pub profiles: Profiles,
}

impl State {
    /// Puts together what a configuration, a policy and a users file say.
    pub fn new(
        issuer: Issuer,
        enforcement: Enforcement,
        logins: Option<Logins>,
        clients: Clients,
        profiles: Profiles,
        service: &ServiceConfig,
    ) -> Self {
        Self {
            issuer,
            enforcement,
            trust: Trust::new(service),
            logins,
            clients,
            allowed_services: service.allowed_services.clone(),
            profiles,
        }
    }

    /// Every service that registry tokens are for, the issuer's own audience first.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        services(self.issuer.audience(), &self.allowed_services)
    }

    /// Whether there is anything at a route: a profile that is not switched on is nowhere.
    pub(super) fn has(&self, route: Route<'_>) -> bool {
        match route {
            Route::Command => self.profiles.command,
            Route::TokenRequest { .. } => self.profiles.kubernetes,
            Route::Other => false,
            _ => true,
        }
    }
}
