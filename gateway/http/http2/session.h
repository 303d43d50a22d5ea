// One HTTP/2 session over a transport, whichever end it is: bytes that came go through nghttp2, frames that
// are to go collect in the transport and leave in one write for all streams at the end of the loop's turn, or
// at once where bytes were lent. Base of a connection; one loop. What derives from it is told of frames in
// the middle of nghttp2's work and must not write there: streams copy what they were lent then.
#pragma once
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "http/http2/frame_walk.h"
#include "http/http2/out_queue.h"
#include "http/http2/session_memory.h"
#include "net/loop.h"
#include "net/transport.h"

namespace penstock::http::http2 {

class Session;

// The sending half of a stream's body, as the session asks for it.
class BodySource {
 public:
  explicit BodySource(BlockPool& pool) : out(pool) {}

  OutQueue out;
  bool ended = false;   // nothing comes behind `out`
  bool asleep = false;  // nghttp2 was told that there is nothing
  uint64_t given = 0;   // bytes that became frames
  // The last of `out` is about to go: submits trailers, if there are any. True: it did.
  virtual bool end_with_trailers() { return false; }
  // Bytes of `out` went.
  virtual void on_given() = 0;

 protected:
  ~BodySource() = default;
};

class Session : protected net::TransportHandler {
 public:
  enum class Role : uint8_t { server, client };

  nghttp2_session* raw() { return session_; }
  // nghttp2 is at work: nothing can be written, and lent bytes have to be copied.
  bool busy() const { return work_ != Work::none; }
  bool open() const { return transport_ != nullptr; }
  // What waits becomes frames. Those with lent bytes leave at once, the others at the end of the turn.
  void write();
  // The same at the end of the turn.
  void write_later() {
    if (transport_) loop_.schedule(writing_);
  }

 protected:
  Session(net::Loop& loop, std::unique_ptr<net::Transport> transport, Role role, uint32_t header_table_size);
  virtual ~Session();

  // All of it; false: the session is broken, by this error of nghttp2's.
  bool receive(std::span<const char> bytes);
  int broken_by() const { return broken_by_; }
  bool receiving() const { return work_ == Work::receiving; }
  // What belongs to a stream that is open. A field after another asks for the same one's.
  void* stream_data(int32_t id) {
    if (id == last_asked_) return last_data_;
    void* data = nghttp2_session_get_stream_user_data(session_, id);
    if (data) last_asked_ = id, last_data_ = data;
    return data;
  }
  // To the transport, whatever waits there. Only after the last frame: nothing else is written then.
  void append_goaway(uint32_t code);
  bool ended() const { return !nghttp2_session_want_read(session_) && !nghttp2_session_want_write(session_); }

  // Each frame, before nghttp2 has seen any of it. False: the session is broken.
  virtual bool on_frame_head(const nghttp2_frame_hd& frame) = 0;
  // The frame whose head is told, a PRIORITY.
  bool depends_on_itself() const { return walk_.depends_on_itself(); }
  // --- nghttp2's news, in the middle of its work. False: the session is broken. ---
  virtual bool on_frame_begun(const nghttp2_frame_hd& frame) = 0;
  virtual bool on_head_begun(const nghttp2_frame& frame) = 0;
  virtual bool on_field(const nghttp2_frame& frame, std::string_view name, std::string_view value) = 0;
  virtual bool on_frame(const nghttp2_frame& frame) = 0;
  virtual void on_invalid_frame(const nghttp2_frame& frame) = 0;
  virtual void on_body(int32_t stream, std::string_view bytes) = 0;
  // Of PRIORITY_UPDATE; on_frame comes behind all of it.
  virtual void on_extension(std::string_view /*bytes*/) {}
  virtual void on_frame_sent(const nghttp2_frame& frame) = 0;
  virtual bool on_stream_closed(void* stream, uint32_t code) = 0;
  // --- outside of it, at the end of a turn in which something was written ---
  virtual void on_turn_over() = 0;

  net::Loop& loop_;
  std::unique_ptr<net::Transport> transport_;  // null once closed
  SessionMemory memory_;

 private:
  struct Writing final : net::Task {
    explicit Writing(Session& of) : session(of) {}
    void run_task() override;
    Session& session;
  };
  friend struct Callbacks;
  friend struct BodyCallbacks;

  void flush();
  void release_borrowed();

  nghttp2_session* session_ = nullptr;
  BlockPool::Block* spent_ = nullptr;  // hold bytes that the transport has borrowed
  Writing writing_{*this};
  FrameWalk walk_;
  int32_t last_asked_ = 0;  // 0: none
  void* last_data_ = nullptr;
  int broken_by_ = 0;
  enum class Work : uint8_t { none, receiving, sending } work_ = Work::none;
  bool borrowed_ = false;  // the transport has borrowed bytes
};

// What nghttp2 asks for a body.
nghttp2_data_provider provider_of(BodySource& source);

}  // namespace penstock::http::http2
