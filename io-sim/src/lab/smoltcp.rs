//! smoltcp in a lab: the same files, another TCP.

use super::{Handle, Lab, inside};
use crate::seed::Stream;
use crate::smoltcp_host::{ClientConfig, Fetch, HttpClient, HttpServer, Identity, ServerConfig};
use simoom_core::server::bodies::pattern_fill;
use std::sync::Arc;

/// The bytes of a file of a lab.
fn body(pattern: u64, len: u64) -> Arc<[u8]> {
    let mut bytes = vec![0; len as usize];
    pattern_fill(pattern, 0, &mut bytes);
    bytes.into()
}

impl Lab {
    /// A client as of [`Lab::fetch`], on smoltcp.
    ///
    /// ```
    /// use simoom_sim::lab::{Chance, Lab, LinkConfig, check};
    ///
    /// check(0..3, |seed| {
    ///     let mut lab = Lab::new(seed);
    ///     // Ours serves smoltcp; `serve_smoltcp` and `fetch` are the other way round.
    ///     let server = lab.serve(&[("/page", 22_000)]);
    ///     let client = lab.fetch_smoltcp(server, "/page", 10);
    ///     lab.join(client, server, LinkConfig { loss: Chance::ppm(10_000), ..LinkConfig::default() });
    ///     let seen = lab.run().unwrap();
    ///     assert_eq!(seen[client].stats().body_bytes, 220_000);
    ///     // The wire is counted for any host.
    ///     assert!(seen.sent_by(client).pure_acks > 0);
    /// });
    /// ```
    ///
    /// # Panics
    /// Where the server is none of this lab's, or does not have the file.
    pub fn fetch_smoltcp<S>(
        &mut self,
        server: Handle<S>,
        path: &str,
        times: u64,
    ) -> Handle<HttpClient> {
        self.fetch_smoltcp_with(server, &[path], times, |_, _| {})
    }

    /// A client as of [`Lab::fetch_with`], on smoltcp.
    ///
    /// # Panics
    /// Where the server is none of this lab's, or does not have one of the files.
    pub fn fetch_smoltcp_with<S>(
        &mut self,
        server: Handle<S>,
        paths: &[&str],
        requests: u64,
        change: impl FnOnce(&mut ClientConfig, &mut Identity),
    ) -> Handle<HttpClient> {
        let files = paths.iter().map(|path| {
            let file = self.file(server.addr, path);
            Fetch { path: file.path.clone(), body: body(file.pattern, file.len) }
        });
        let files: Vec<_> = files.collect();
        let fetches = files.iter().cycle().take(requests as usize).cloned().collect();
        let mut config =
            ClientConfig { server: server.addr, connections: 1, keep_alive: true, fetches };
        let seed = self.seed();
        let client = self.endpoint(|address| {
            let draws = &mut seed.stream(Stream::Host(u32::from(address.number)));
            let mut identity = Identity::new(address.number, draws.word());
            change(&mut config, &mut identity);
            HttpClient::new(identity, config)
        });
        self.goals.push(Box::new(move |world| {
            let client = inside::<HttpClient>(world, client.id);
            if client.stats().failures.is_empty() {
                Ok(client.is_quiet())
            } else {
                client.verdict().map(|()| true)
            }
        }));
        client
    }

    /// A server as of [`Lab::serve`], on smoltcp, for up to 16 connections at once.
    pub fn serve_smoltcp(&mut self, files: &[(&str, u64)]) -> Handle<HttpServer> {
        self.serve_smoltcp_with(files, |_, _| {})
    }

    /// The same with a changed configuration: connections at once, buffers.
    pub fn serve_smoltcp_with(
        &mut self,
        files: &[(&str, u64)],
        change: impl FnOnce(&mut ServerConfig, &mut Identity),
    ) -> Handle<HttpServer> {
        let objects = (1..)
            .zip(files.iter())
            .map(|(pattern, (path, len))| (String::from(*path), body(pattern, *len)));
        let mut config = ServerConfig { port: 80, connections: 16, objects: objects.collect() };
        let seed = self.seed();
        let mut port = 80;
        let mut server = self.endpoint(|address| {
            let draws = &mut seed.stream(Stream::Host(u32::from(address.number)));
            let mut identity = Identity::new(address.number, draws.word());
            change(&mut config, &mut identity);
            port = config.port;
            HttpServer::new(identity, config)
        });
        server.addr.set_port(port);
        self.note_files(server.addr, files);
        server
    }
}
