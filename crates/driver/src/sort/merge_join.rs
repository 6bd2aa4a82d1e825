//! The merge of two sorted streams.

use std::cmp::Ordering;
use std::iter::Peekable;

use crate::Result;

/// What the streams have at one place of the order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Side<A, B> {
    Left(A),
    Right(B),
    Both(A, B),
}

/// A merge of two streams that are sorted by the same order, place by place. If a stream fails, its error takes the place
/// of its next item; items behind an error have no meaning.
pub(crate) struct MergeJoin<I: Iterator, J: Iterator, F> {
    left: Peekable<I>,
    right: Peekable<J>,
    order: F,
}

/// Merges two streams, of which the second can not fail.
pub(crate) fn merge_join<A, B, I, J, F>(left: I, right: J, order: F) -> MergeJoin<I::IntoIter, J::IntoIter, F>
where
    I: IntoIterator<Item = Result<A>>,
    J: IntoIterator<Item = B>,
    F: Fn(&A, &B) -> Ordering,
{
    MergeJoin { left: left.into_iter().peekable(), right: right.into_iter().peekable(), order }
}

impl<A, B, I, J, F> Iterator for MergeJoin<I, J, F>
where
    I: Iterator<Item = Result<A>>,
    J: Iterator<Item = B>,
    F: Fn(&A, &B) -> Ordering,
{
    type Item = Result<Side<A, B>>;

    fn next(&mut self) -> Option<Result<Side<A, B>>> {
        let order = match (self.left.peek(), self.right.peek()) {
            (Some(Err(_)) | Some(Ok(_)), None) => Ordering::Less,
            (Some(Err(_)), Some(_)) => Ordering::Less,
            (Some(Ok(left)), Some(right)) => (self.order)(left, right),
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        match order {
            Ordering::Less => self.left.next().map(|left| left.map(Side::Left)),
            Ordering::Greater => self.right.next().map(|right| Ok(Side::Right(right))),
            Ordering::Equal => {
                let (left, right) = (self.left.next()?, self.right.next()?);
                Some(left.map(|left| Side::Both(left, right)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_comes_once_and_in_order() {
        let joined = |left: &[u8], right: &[u8]| {
            let all = merge_join(left.iter().map(|one| Ok(*one)), right.iter().copied(), |a: &u8, b: &u8| a.cmp(b));
            all.collect::<Result<Vec<_>>>().unwrap()
        };
        let (left, right, both) = (Side::Left, Side::Right, |one| Side::Both(one, one));
        assert_eq!(joined(&[], &[]), []);
        assert_eq!(joined(&[1, 3, 4], &[2, 3, 5]), [left(1), right(2), both(3), left(4), right(5)]);
        assert_eq!(joined(&[1, 2], &[]), [left(1), left(2)]);
        assert_eq!(joined(&[], &[1, 2]), [right(1), right(2)]);
    }

    #[test]
    fn an_error_is_passed_on() {
        let failing = [Ok(2), Err(crate::Error::internal("no"))];
        let mut all = merge_join(failing, [1, 2, 3], |a: &u8, b: &u8| a.cmp(b));
        assert!(matches!(all.next(), Some(Ok(Side::Right(1)))));
        assert!(matches!(all.next(), Some(Ok(Side::Both(2, 2)))));
        assert!(matches!(all.next(), Some(Err(_))));
    }
}
