// A doubly linked list whose hooks live in the elements: O(1) removal, no allocation. The hook's destructor
// unlinks, so an element that dies is never left in a list. One thread; an element is in one list per hook at
// a time.
#pragma once

namespace penstock {

struct ListHook {
  ListHook* prev = nullptr;
  ListHook* next = nullptr;

  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { unlink(); }

  bool linked() const { return next != nullptr; }
  void unlink() {
    if (!next) return;
    prev->next = next;
    next->prev = prev;
    prev = next = nullptr;
  }
};

// T derives from Hook, which derives from ListHook (one Hook type for each list an element can be in).
template <class T, class Hook = ListHook>
class IntrusiveList {
 public:
  IntrusiveList() { root_.prev = root_.next = &root_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (pop_front()) {}
    root_.prev = root_.next = nullptr;
  }

  bool empty() const { return root_.next == &root_; }
  void push_front(T& element) { insert(root_.next, element); }
  void push_back(T& element) { insert(&root_, element); }
  T* front() { return empty() ? nullptr : owner(root_.next); }
  T* back() { return empty() ? nullptr : owner(root_.prev); }
  T* pop_front() {
    T* element = front();
    if (element) static_cast<Hook*>(element)->unlink();
    return element;
  }
  // fn must not remove any element but the one it is given.
  template <class Fn>
  void for_each(Fn fn) {
    for (ListHook* hook = root_.next; hook != &root_;) {
      ListHook* next = hook->next;
      fn(*owner(hook));
      hook = next;
    }
  }

 private:
  static T* owner(ListHook* hook) { return static_cast<T*>(static_cast<Hook*>(hook)); }
  static void insert(ListHook* before, T& element) {
    ListHook* hook = static_cast<Hook*>(&element);
    hook->unlink();
    hook->prev = before->prev;
    hook->next = before;
    before->prev->next = hook;
    before->prev = hook;
  }

  ListHook root_;
};

}  // namespace penstock
