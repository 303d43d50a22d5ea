#include "http/http2/session.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

namespace penstock::http::http2 {
namespace {

// Copying so much costs less than a segment of its own and a write of its own.
constexpr size_t little = 4096;
// Of what was lent, before it is looked whether the kernel takes it.
constexpr size_t most_at_once = 256 * 1024;

std::string_view text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}
int fail_unless(bool good) { return good ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE; }

}  // namespace

struct Callbacks {
  static Session& of(void* user) { return *static_cast<Session*>(user); }

  static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user) {
    return fail_unless(of(user).on_frame_begun(*frame));
  }
  static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return fail_unless(of(user).on_head_begun(*frame));
  }
  static int header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name, nghttp2_rcbuf* value,
                    uint8_t, void* user) {
    const nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    return fail_unless(of(user).on_field(*frame, text(n.base, n.len), text(v.base, v.len)));
  }
  // Not dropped, as the library would: a field that cannot be makes a malformed message (RFC 9113 8.2.1).
  static int invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*, nghttp2_rcbuf*, uint8_t,
                            void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static int frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return fail_unless(of(user).on_frame(*frame));
  }
  static int invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    of(user).on_invalid_frame(*frame);
    return 0;
  }
  static int data(nghttp2_session*, uint8_t, int32_t stream, const uint8_t* bytes, size_t size, void* user) {
    of(user).on_body(stream, text(bytes, size));
    return 0;
  }
  static int extension(nghttp2_session*, const nghttp2_frame_hd*, const uint8_t* bytes, size_t size,
                       void* user) {
    of(user).on_extension(text(bytes, size));
    return 0;
  }
  static int extension_whole(nghttp2_session*, void** payload, const nghttp2_frame_hd*, void*) {
    *payload = nullptr;
    return 0;
  }
  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    of(user).on_frame_sent(*frame);
    return 0;
  }
  static int stream_closed(nghttp2_session*, int32_t stream, uint32_t code, void* user) {
    Session& session = of(user);
    void* data = session.stream_data(stream);
    const bool good = !data || session.on_stream_closed(data, code);
    session.last_asked_ = 0;
    session.last_data_ = nullptr;  // a frame may name stream 0
    return fail_unless(good);
  }
};

struct BodyCallbacks {
  static ssize_t read(nghttp2_session*, int32_t, uint8_t*, size_t room, uint32_t* flags,
                      nghttp2_data_source* source, void*) {
    auto& body = *static_cast<BodySource*>(source->ptr);
    const size_t size = std::min(room, body.out.size());
    if (size == 0 && !body.ended) {
      body.asleep = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (body.ended && size == body.out.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (body.end_with_trailers()) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return static_cast<ssize_t>(size);
  }
  static int send(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t size,
                  nghttp2_data_source* source, void* user) {
    constexpr size_t frame_head = 9;
    Session& session = Callbacks::of(user);
    auto& body = *static_cast<BodySource*>(source->ptr);
    assert(frame->data.padlen == 0);
    static_cast<void>(frame);
    if (body.out.size() < size) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // it was given up meanwhile
    net::Transport& to = *session.transport_;
    if (to.unsent() >= (session.borrowed_ ? most_at_once : net::Transport::high_mark)) {
      session.flush();
      if (to.unsent() >= net::Transport::high_mark) return NGHTTP2_ERR_WOULDBLOCK;
    }
    to.append(text(head, frame_head));
    body.out.take(size, session.spent_, [&](std::string_view piece) {
      if (piece.size() <= little) return to.append(piece);
      to.append_borrowed(piece);
      session.borrowed_ = true;
    });
    body.given += size;
    body.on_given();
    return 0;
  }
};

namespace {

struct Library {
  nghttp2_session_callbacks* callbacks = nullptr;

  Library() {
    if (nghttp2_session_callbacks_new(&callbacks) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, Callbacks::begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, Callbacks::header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, Callbacks::invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, Callbacks::invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::data);
    nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, Callbacks::extension);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, Callbacks::extension_whole);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::stream_closed);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, BodyCallbacks::send);
  }
  ~Library() { nghttp2_session_callbacks_del(callbacks); }
};

// The same for every session; nghttp2 copies it.
const Library& library() {
  static const Library shared;
  return shared;
}

}  // namespace

nghttp2_data_provider provider_of(BodySource& source) {
  nghttp2_data_provider provider;
  provider.source.ptr = &source;
  provider.read_callback = BodyCallbacks::read;
  return provider;
}

Session::Session(net::Loop& loop, std::unique_ptr<net::Transport> transport, Role role,
                 uint32_t header_table_size)
    : loop_(loop),
      transport_(std::move(transport)),
      memory_(loop.pieces(), loop.blocks()),
      walk_(role == Role::server ? NGHTTP2_CLIENT_MAGIC_LEN : 0) {
  nghttp2_option* options = nullptr;
  if (nghttp2_option_new(&options) != 0) throw std::bad_alloc();
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(options, header_table_size);
  // Not by the library: one for an idle stream makes that stream, which stays in a list of 1.52's after its
  // memory was freed.
  if (role == Role::server) nghttp2_option_set_user_recv_extension_type(options, NGHTTP2_PRIORITY_UPDATE);
  nghttp2_option_set_stream_reset_rate_limit(options, UINT64_MAX, UINT64_MAX);  // max_resets is ours
  // Nor is this one the library's: a CONTINUATION that comes in pieces counts as several there.
  nghttp2_option_set_max_continuations(options, SIZE_MAX);
  nghttp2_mem functions = memory_.functions();
  auto make = role == Role::server ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  const int made = make(&session_, library().callbacks, this, options, &functions);
  nghttp2_option_del(options);
  if (made != 0) throw std::bad_alloc();
  transport_->set_handler(this);
}

Session::~Session() {
  nghttp2_session_del(session_);
  loop_.blocks().give_chain(spent_);
}

bool Session::receive(std::span<const char> bytes) {
  work_ = Work::receiving;
  while (!bytes.empty() && broken_by_ == 0) {
    const size_t part = walk_.next(bytes, [this](const nghttp2_frame_hd& frame) {
      if (!on_frame_head(frame)) broken_by_ = NGHTTP2_ERR_PROTO;
    });
    if (broken_by_ != 0) break;
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), part);
    if (taken < 0) broken_by_ = static_cast<int>(taken);
    bytes = bytes.subspan(part);
  }
  work_ = Work::none;
  return broken_by_ == 0;
}

// A frame at a time comes from nghttp2, whole; DATA goes by BodyCallbacks::send.
void Session::write() {
  if (!transport_) return;
  if (busy() || broken_by_ != 0) return write_later();
  work_ = Work::sending;
  while (transport_->unsent() < net::Transport::high_mark) {
    const uint8_t* frame = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &frame);
    if (size < 0) broken_by_ = static_cast<int>(size);
    if (size > 0) transport_->append(text(frame, static_cast<size_t>(size)));
    if (borrowed_) release_borrowed();
    // Whatever is over the mark leaves now: nobody would tell that there is room again if all of it went
    // later.
    if (transport_->unsent() >= net::Transport::high_mark) flush();
    if (size <= 0) break;
  }
  work_ = Work::none;
  if (transport_->unsent() > 0 || ended() || broken_by_ != 0) loop_.schedule(writing_);
}

void Session::flush() {
  transport_->flush();
  loop_.blocks().give_chain(std::exchange(spent_, nullptr));
  borrowed_ = false;
}

// Frames of several streams leave together where they need not leave at once.
void Session::release_borrowed() {
  transport_->release_borrowed();
  loop_.blocks().give_chain(std::exchange(spent_, nullptr));
  borrowed_ = false;
}

void Session::Writing::run_task() {
  if (!session.transport_) return;
  session.write();
  session.writing_.cancel();
  // What write() left behind because so much waited has nobody to call for it when the kernel takes all that.
  const bool full = session.transport_->unsent() >= net::Transport::high_mark;
  session.flush();
  if (full && session.transport_->unsent() < net::Transport::high_mark)
    session.loop_.schedule_next_turn(session.writing_);
  session.on_turn_over();
}

// RFC 9113 6.8: the last stream that was looked at, and why.
void Session::append_goaway(uint32_t code) {
  const auto last = static_cast<uint32_t>(nghttp2_session_get_last_proc_stream_id(session_));
  char frame[17] = {0, 0, 8, NGHTTP2_GOAWAY};
  for (int i = 0; i < 4; ++i) {
    frame[9 + i] = static_cast<char>(last >> (24 - 8 * i));
    frame[13 + i] = static_cast<char>(code >> (24 - 8 * i));
  }
  transport_->append({frame, sizeof frame});
}

}  // namespace penstock::http::http2
