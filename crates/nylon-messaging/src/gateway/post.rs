//! Frames that are ready at the same moment for the same worker share a message (SPEC 4.11).

use async_nats::Subject;
use bytes::Bytes;
use nylon_wire::Limits;

/// What waits for the end of this turn of the thread.
#[derive(Default)]
pub(super) struct Posts(Vec<Post>);

/// Frames for one worker, in their order.
pub(super) struct Post {
    pub worker: Subject,
    /// Of the first frame that waits for an answer.
    pub reply: Option<Subject>,
    pub frames: Vec<Bytes>,
    /// Generations of the slots that wait for an answer, in the order of their frames.
    pub waiting: Vec<u32>,
    bytes: usize,
}

impl Posts {
    /// Adds a frame; one that waits for an answer says where and with which generation. Gives back what has to go first
    /// because the frame does not fit behind it.
    pub(super) fn add(
        &mut self,
        worker: &Subject,
        waits: Option<(Subject, u32)>,
        frame: Bytes,
        max_payload: usize,
    ) -> Option<Post> {
        let length = frame.len() + Limits::BATCH_OVERHEAD;
        let most = Limits::MAX_BATCH.min(max_payload).saturating_sub(Limits::BATCH_OVERHEAD);
        let (reply, generation) = waits.unzip();
        let Some(post) = self.0.iter_mut().find(|post| post.worker == *worker) else {
            self.0.push(Post::new(worker.clone(), reply, frame, generation));
            return None;
        };
        if post.bytes + length > most {
            return Some(std::mem::replace(post, Post::new(worker.clone(), reply, frame, generation)));
        }
        post.frames.push(frame);
        post.bytes += length;
        post.waiting.extend(generation);
        post.reply = post.reply.take().or(reply);
        None
    }

    /// Takes everything.
    pub(super) fn take(&mut self) -> Vec<Post> {
        std::mem::take(&mut self.0)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Post {
    fn new(worker: Subject, reply: Option<Subject>, frame: Bytes, generation: Option<u32>) -> Self {
        let bytes = frame.len() + Limits::BATCH_OVERHEAD;
        Self { worker, reply, frames: vec![frame], waiting: generation.into_iter().collect(), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(posts: &mut Posts, worker: &'static str, wait: Option<u32>, length: usize) -> Option<Post> {
        let waits = wait.map(|generation| (Subject::from(format!("reply.{generation}")), generation));
        posts.add(&Subject::from_static(worker), waits, Bytes::from(vec![0; length]), 1_000)
    }

    #[test]
    fn frames_gather_by_worker() {
        let mut posts = Posts::default();
        assert!(posts.is_empty());
        for (worker, wait) in [("a", None), ("b", Some(1)), ("a", Some(2)), ("a", Some(3))] {
            assert!(add(&mut posts, worker, wait, 10).is_none());
        }
        let taken = posts.take();
        assert!(posts.is_empty());
        let found: Vec<_> =
            taken.iter().map(|post| (post.worker.as_str(), post.frames.len(), &post.waiting[..])).collect();
        assert_eq!(found, [("a", 3, &[2, 3][..]), ("b", 1, &[1])]);
        assert_eq!(taken[0].reply.as_deref(), Some("reply.2"));
    }

    #[test]
    fn what_does_not_fit_starts_a_message_of_its_own() {
        let mut posts = Posts::default();
        assert!(add(&mut posts, "a", Some(1), 500).is_none());
        let first = add(&mut posts, "a", Some(2), 600).expect("both do not fit");
        assert_eq!((first.frames.len(), &first.waiting[..]), (1, &[1][..]));
        let second = add(&mut posts, "a", None, 5_000).expect("a long frame is alone");
        assert_eq!((second.frames.len(), &second.waiting[..]), (1, &[2][..]));
        assert_eq!(posts.take().len(), 1);
    }
}
