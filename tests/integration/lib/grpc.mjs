// SPDX-License-Identifier: Apache-2.0
// A real gRPC client for a node, with Envoy's documented message shapes for its authorization, and
// the project's own .proto files for the rest.
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

export const { status, Metadata } = grpc;

const pathOf = (path) => fileURLToPath(new URL(path, import.meta.url));
const root = pathOf('../../..');
const load = (path) => grpc.loadPackageDefinition(loadSync(pathOf(path), { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true, includeDirs: [root] }));

export const envoy = load('envoy.proto').envoy.service.auth.v3;
export const ownEnvoy = load('../../../proto/grpc/authorization.proto').envoy.service.auth.v3;
export const health = load('../../../proto/grpc/health.proto').grpc.health.v1;
export const validation = load('../../../proto/validation.proto').keyreeve.v1;

/**
 * A client of one service over a connection of its own. Its calls answer {answer} or {error}, which
 * has a gRPC status as its code; each with a deadline.
 */
export function grpcClient(Service, address, { credentials = grpc.credentials.createInsecure(), options = {} } = {}) {
  const client = new Service(address, credentials, { 'grpc.use_local_subchannel_pool': 1, 'grpc.enable_retries': 0, ...options });
  return {
    call: (method, message, { deadlineMs = 20_000, metadata = new Metadata() } = {}) =>
      new Promise((done) => {
        client[method](message, metadata, { deadline: Date.now() + deadlineMs }, (error, answer) => done(error ? { error } : { answer }));
      }),
    /** Sends these bytes as the message, whatever they are. */
    raw: (path, bytes, { deadlineMs = 20_000 } = {}) =>
      new Promise((done) => {
        const asIs = (value) => value;
        client.makeUnaryRequest(path, asIs, asIs, bytes, new Metadata(), { deadline: Date.now() + deadlineMs }, (error, answer) => done(error ? { error } : { answer }));
      }),
    client,
    close: () => client.close(),
  };
}

export const secure = (ca, key, cert) => grpc.credentials.createSsl(ca, key, cert);

/** A google.protobuf.Struct as an object. */
export const structOf = ({ fields }) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, valueOf(value)]));
const valueOf = (value) => (value.kind === 'listValue' ? value.listValue.values.map(valueOf) : value[value.kind]);

/** What Envoy sends of a request. headers: pairs; isRaw: as header_map. */
export function checkRequest({ headers = {}, path = '/', method = 'GET', extensions = {}, source = '192.0.2.1', isRaw = false, body = '' } = {}) {
  const all = Object.entries({ ':method': method, ':path': path, ':authority': 'api.example', ':scheme': 'https', 'user-agent': 'curl/8', 'x-request-id': 'b2f7', ...headers });
  const http = { id: '1234567890', method, path, host: 'api.example', scheme: 'https', size: '-1', protocol: 'HTTP/2', body };
  if (isRaw) http.header_map = { headers: all.map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) };
  else http.headers = Object.fromEntries(all);
  return {
    attributes: {
      source: { address: { socket_address: { address: source, port_value: 40_000 } }, principal: 'spiffe://cluster/client', labels: { app: 'client' } },
      destination: { address: { socket_address: { address: '198.51.100.1', port_value: 443 } }, service: 'api' },
      request: { time: { seconds: '1700000000', nanos: 5 }, http },
      context_extensions: extensions,
      metadata_context: { filter_metadata: { 'envoy.filters.http.jwt_authn': { fields: { a: { stringValue: 'b' } } } } },
      route_metadata_context: {},
      tls_session: { sni: 'api.example' },
    },
  };
}

/** What a gateway makes of an answer: {status, headers, body?, removed?, metadata}. */
export function outcomeOf(answer) {
  const response = answer[answer.http_response];
  const options = response.headers;
  return {
    code: answer.status.code,
    status: answer.http_response === 'ok_response' ? 200 : response.status.code,
    headers: Object.fromEntries(options.map(({ header }) => [header.key, header.value])),
    options,
    body: response.body,
    removed: response.headers_to_remove,
    metadata: structOf(answer.dynamic_metadata),
  };
}
