// The same server and client as peer.cpp by npm's @grpc/grpc-js: messages are bytes, no code is generated.
'use strict';
const grpc = require(require.resolve('@grpc/grpc-js', { paths: [process.cwd()] }));
const assert = require('assert');

const bytes = { serialize: (b) => b, deserialize: (b) => b };
const method = (name, requestStream, responseStream) => ({
  path: '/test.Peer/' + name, requestStream, responseStream,
  requestSerialize: bytes.serialize, requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize, responseDeserialize: bytes.deserialize,
});
const service = {
  Unary: method('Unary', false, false), Count: method('Count', false, true),
  Last: method('Last', true, false), Echo: method('Echo', true, true), Fail: method('Fail', false, false),
};

function serve() {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(service, {
    Unary: (call, done) => done(null, call.request),
    Count: (call) => {
      for (let i = 0; i < Number(call.request.toString()); ++i) call.write(Buffer.from(String(i)));
      call.end();
    },
    Last: (call, done) => {
      let last;
      call.on('data', (message) => { last = message; });
      call.on('end', () => done(null, last));
    },
    Echo: (call) => {
      call.on('data', (message) => call.write(message));
      call.on('end', () => call.end());
    },
    Fail: (call, done) => done({ code: grpc.status.NOT_FOUND, details: 'no such thing' }),
  });
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    console.log('port ' + port);
  });
}

async function ask(port) {
  const client = new (grpc.makeGenericClientConstructor(service, 'Peer'))('127.0.0.1:' + port,
    grpc.credentials.createInsecure(), { 'grpc.enable_http_proxy': 0, 'grpc.max_receive_message_length': -1 });
  const whole = (call) => new Promise((done, failed) => {
    const messages = [];
    call.on('data', (message) => messages.push(message.toString()));
    call.on('error', failed);
    call.on('end', () => done(messages));
  });
  const unary = (name, message, options = {}) => new Promise((done, failed) =>
    client[name](message, options, (error, answer) => (error ? failed(error) : done(answer))));

  const large = Buffer.alloc(3000000, 'x');
  assert.ok((await unary('Unary', large)).equals(large));
  assert.strictEqual((await whole(client.Count(Buffer.from('1000')))).length, 1000);
  const last = await new Promise((done, failed) => {
    const call = client.Last((error, answer) => (error ? failed(error) : done(answer)));
    for (let i = 0; i < 1000; ++i) call.write(Buffer.from(String(i)));
    call.end();
  });
  assert.strictEqual(last.toString(), '999');
  const echo = client.Echo();
  for (let i = 0; i < 100; ++i) {
    const back = new Promise((done) => echo.once('data', done));
    echo.write(Buffer.from(String(i)));
    assert.strictEqual((await back).toString(), String(i));
  }
  echo.end();
  await whole(echo);
  const all = await Promise.all(Array.from({ length: 100 }, (_, i) => unary('Unary', Buffer.from(String(i)))));
  all.forEach((answer, i) => assert.strictEqual(answer.toString(), String(i)));

  await assert.rejects(unary('Fail', Buffer.alloc(0)), { code: grpc.status.NOT_FOUND, details: 'no such thing' });
  const late = client.Echo({ deadline: Date.now() + 200 });
  await assert.rejects(whole(late), { code: grpc.status.DEADLINE_EXCEEDED });
  const cancelled = client.Echo();
  cancelled.write(Buffer.from('a'));
  cancelled.once('data', () => cancelled.cancel());
  await assert.rejects(whole(cancelled), { code: grpc.status.CANCELLED });
  await assert.rejects(new Promise((done, failed) => client.makeUnaryRequest('/no.Such/Route', bytes.serialize,
    bytes.deserialize, Buffer.alloc(0), (error) => (error ? failed(error) : done()))),
  (error) => error.code === grpc.status.UNIMPLEMENTED && error.details.startsWith('route.none'));
  client.close();
}

if (process.argv[2] === 'client')
  ask(process.argv[3]).catch((error) => { console.error(error); process.exit(1); });
else
  serve();
