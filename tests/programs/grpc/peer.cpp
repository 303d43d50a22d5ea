// A server and a client of gRPC by its C++ library, without generated code: messages are bytes. `server` says
// its port and serves, `client PORT` makes calls of all kinds and exits with 0 when all went as they should.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

grpc::ByteBuffer buffer_of(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return {&slice, 1};
}

std::string bytes_of(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (buffer.Dump(&slices).ok())
    for (const grpc::Slice& slice : slices)
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

// Echo answers each message with itself, Count a number with so many messages, Last all of them with the last
// one, Fail with a status alone. Deletes itself when it is over.
class Served final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Served(const std::string& method) : method_(method) {
    if (method_ == "/test.Peer/Fail")
      Finish({grpc::StatusCode::NOT_FOUND, "no such thing"});
    else
      StartRead(&message_);
  }
  void OnReadDone(bool ok) override {
    if (method_ == "/test.Peer/Count" && ok) left_ = std::stoul(bytes_of(message_));
    if (method_ == "/test.Peer/Last") {
      last_ = ok ? message_ : last_;
      if (ok) return StartRead(&message_);
      return StartWriteAndFinish(&last_, {}, grpc::Status::OK);
    }
    if (!ok || left_ == 0) return Finish(grpc::Status::OK);
    StartWrite(&message_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish({grpc::StatusCode::CANCELLED, ""});
    if (method_ != "/test.Peer/Count") return StartRead(&message_);
    --left_ > 0 ? StartWrite(&message_) : Finish(grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  std::string method_;
  grpc::ByteBuffer message_, last_;
  size_t left_ = 1;
};

class Service final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new Served(context->method());
  }
};

int serve() {
  Service service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterCallbackGenericService(&service);
  auto server = builder.BuildAndStart();
  std::cout << "port " << port << std::endl;
  server->Wait();
  return 0;
}

// One call, message by message; every step is waited for.
class Call {
 public:
  Call(grpc::GenericStub& peer, const std::string& method,
       std::chrono::milliseconds time = std::chrono::seconds(30)) {
    context_.set_deadline(std::chrono::system_clock::now() + time);
    stream_ = peer.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(this);
    wait();
  }
  bool send(const std::string& message) { return stream_->Write(buffer_of(message), this), wait(); }
  void end() { stream_->WritesDone(this), wait(); }
  bool receive(std::string& message) {
    grpc::ByteBuffer buffer;
    stream_->Read(&buffer, this);
    if (!wait()) return false;
    message = bytes_of(buffer);
    return true;
  }
  void cancel() { context_.TryCancel(); }
  grpc::Status finish() {
    grpc::Status status;
    stream_->Finish(&status, this);
    wait();
    return status;
  }

 private:
  bool wait() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

int failures = 0;
void check(bool good, const std::string& what) {
  if (good) return;
  std::cerr << "failed: " << what << "\n";
  ++failures;
}

void call_all(grpc::GenericStub& peer) {
  std::string message;
  const std::string large(3'000'000, 'x');
  Call unary(peer, "/test.Peer/Echo");
  unary.send(large), unary.end();
  check(unary.receive(message) && message == large, "unary");
  check(!unary.receive(message) && unary.finish().ok(), "its end");

  Call count(peer, "/test.Peer/Count");
  count.send("1000"), count.end();
  size_t messages = 0;
  while (count.receive(message)) ++messages;
  check(messages == 1000 && count.finish().ok(), "server streaming");

  Call last(peer, "/test.Peer/Last");
  for (int i = 0; i < 1000; ++i) last.send(std::to_string(i));
  last.end();
  check(last.receive(message) && message == "999" && last.finish().ok(), "client streaming");

  Call echo(peer, "/test.Peer/Echo");
  for (int i = 0; i < 100; ++i)
    check(echo.send(std::to_string(i)) && echo.receive(message) && message == std::to_string(i), "bidi");
  echo.end();
  check(!echo.receive(message) && echo.finish().ok(), "its end");
}

void fail_all(grpc::GenericStub& peer) {
  std::string message;
  Call fail(peer, "/test.Peer/Fail");
  fail.end();
  check(!fail.receive(message), "no message");
  const grpc::Status failed = fail.finish();
  check(failed.error_code() == grpc::StatusCode::NOT_FOUND && failed.error_message() == "no such thing",
        "Fail");

  Call late(peer, "/test.Peer/Echo", std::chrono::milliseconds(200));
  check(late.send("a") && late.receive(message), "a stream with a deadline");
  check(!late.receive(message), "which ends");
  check(late.finish().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED, "by its deadline");

  Call cancelled(peer, "/test.Peer/Echo");
  check(cancelled.send("a") && cancelled.receive(message), "a stream");
  cancelled.cancel();
  check(cancelled.finish().error_code() == grpc::StatusCode::CANCELLED, "that is cancelled");

  Call refused(peer, "/no.Such/Route");
  refused.end();
  const grpc::Status status = refused.finish();
  check(status.error_code() == grpc::StatusCode::UNIMPLEMENTED, "a refusal's status");
  check(status.error_message().find("route.none") == 0, "a refusal's reason");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "server") return serve();
  if (what != "client" || argc < 3 || !*argv[2]) {
    std::cerr << "usage: penstock_grpc_peer server | client PORT\n";
    return 2;
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  grpc::GenericStub peer(grpc::CreateCustomChannel("127.0.0.1:" + std::string(argv[2]),
                                                   grpc::InsecureChannelCredentials(), arguments));
  call_all(peer);
  fail_all(peer);
  return failures == 0 ? 0 : 1;
}
