//! What a plugin asks for, as data. `nylon-plugin` applies it; every transport makes the same values (SPEC 13).

use crate::fields::Fields;
use crate::msgpack::Writer;
use crate::{DecodeError, OperationNumber, Text};
use bytes::Bytes;

/// One change that a plugin asks for. Names and values are as the plugin gave them: whoever applies them judges them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// 100: replaces every spelling and repeat of the header.
    SetResponseHeader {
        /// Header name.
        name: Text,
        /// Header value.
        value: Bytes,
    },
    /// 101
    RemoveResponseHeader {
        /// Header name.
        name: Text,
    },
    /// 102: any number; 200–999 are legal.
    SetResponseStatus(u16),
    /// 103
    SetResponseBody(ResponseBody),
    /// 400 (extension)
    SetRequestHeader {
        /// Header name.
        name: Text,
        /// Header value.
        value: Bytes,
    },
    /// 401 (extension)
    RemoveRequestHeader {
        /// Header name.
        name: Text,
    },
    /// 402 (extension): keeps what is there.
    AddRequestHeader {
        /// Header name.
        name: Text,
        /// Header value.
        value: Bytes,
    },
    /// 410 (extension): keeps what is there, as two `Set-Cookie` need.
    AddResponseHeader {
        /// Header name.
        name: Text,
        /// Header value.
        value: Bytes,
    },
}

/// A body that a plugin sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseBody {
    /// In the operation itself.
    Inline(Bytes),
    /// In DATA frames that came before.
    Data {
        /// Their id.
        id: u32,
        /// All their bytes together.
        total: u64,
    },
}

impl Operation {
    /// The number of this operation.
    pub fn number(&self) -> OperationNumber {
        match self {
            Operation::SetResponseHeader { .. } => OperationNumber::SetResponseHeader,
            Operation::RemoveResponseHeader { .. } => OperationNumber::RemoveResponseHeader,
            Operation::SetResponseStatus(_) => OperationNumber::SetResponseStatus,
            Operation::SetResponseBody(_) => OperationNumber::SetResponseFullBody,
            Operation::SetRequestHeader { .. } => OperationNumber::SetRequestHeader,
            Operation::RemoveRequestHeader { .. } => OperationNumber::RemoveRequestHeader,
            Operation::AddRequestHeader { .. } => OperationNumber::AddRequestHeader,
            Operation::AddResponseHeader { .. } => OperationNumber::AddResponseHeader,
        }
    }

    /// About how many bytes it takes in a frame: enough to decide when a list of operations must leave.
    pub fn size(&self) -> usize {
        12 + match self {
            Operation::SetResponseHeader { name, value }
            | Operation::SetRequestHeader { name, value }
            | Operation::AddRequestHeader { name, value }
            | Operation::AddResponseHeader { name, value } => name.bytes().len() + value.len(),
            Operation::RemoveResponseHeader { name } | Operation::RemoveRequestHeader { name } => name.bytes().len(),
            Operation::SetResponseBody(ResponseBody::Inline(bytes)) => bytes.len(),
            Operation::SetResponseStatus(_) | Operation::SetResponseBody(ResponseBody::Data { .. }) => 0,
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let number = u64::from(self.number().number());
        let mut head = |elements| {
            writer.array(elements);
            writer.uint(number);
        };
        match self {
            Operation::SetResponseHeader { name, value }
            | Operation::SetRequestHeader { name, value }
            | Operation::AddRequestHeader { name, value }
            | Operation::AddResponseHeader { name, value } => {
                head(3);
                writer.str(name);
                writer.bin(value);
            }
            Operation::RemoveResponseHeader { name } | Operation::RemoveRequestHeader { name } => {
                head(2);
                writer.str(name);
            }
            Operation::SetResponseStatus(status) => {
                head(2);
                writer.uint(u64::from(*status));
            }
            Operation::SetResponseBody(ResponseBody::Inline(bytes)) => {
                head(2);
                writer.bin(bytes);
            }
            Operation::SetResponseBody(ResponseBody::Data { id, total }) => {
                head(4);
                writer.nil();
                writer.uint(u64::from(*id));
                writer.uint(*total);
            }
        }
    }

    fn read(mut fields: Fields<'_, '_>) -> Result<Self, DecodeError> {
        let number = fields.uint("operation")?;
        let known = OperationNumber::from_number(number).ok_or(DecodeError::UnknownOperation(number))?;
        let operation = match known {
            OperationNumber::SetResponseHeader => {
                Operation::SetResponseHeader { name: fields.text("name")?, value: fields.bin("value")? }
            }
            OperationNumber::RemoveResponseHeader => Operation::RemoveResponseHeader { name: fields.text("name")? },
            OperationNumber::SetResponseStatus => Operation::SetResponseStatus(fields.u16("status")?),
            OperationNumber::SetResponseFullBody => match fields.opt_bin()? {
                Some(bytes) => Operation::SetResponseBody(ResponseBody::Inline(bytes)),
                None => Operation::SetResponseBody(ResponseBody::Data {
                    id: fields.u32("id")?,
                    total: fields.safe("total")?,
                }),
            },
            OperationNumber::SetRequestHeader => {
                Operation::SetRequestHeader { name: fields.text("name")?, value: fields.bin("value")? }
            }
            OperationNumber::RemoveRequestHeader => Operation::RemoveRequestHeader { name: fields.text("name")? },
            OperationNumber::AddRequestHeader => {
                Operation::AddRequestHeader { name: fields.text("name")?, value: fields.bin("value")? }
            }
            OperationNumber::AddResponseHeader => {
                Operation::AddResponseHeader { name: fields.text("name")?, value: fields.bin("value")? }
            }
        };
        fields.finish()?;
        Ok(operation)
    }
}

pub(crate) fn write_list(operations: &[Operation], writer: &mut Writer<'_>) {
    writer.array(operations.len());
    for operation in operations {
        operation.write(writer);
    }
}

pub(crate) fn read_list(fields: &mut Fields<'_, '_>) -> Result<Vec<Operation>, DecodeError> {
    let mut list = fields.nested("ops")?;
    // The announced length is the peer's word: it sizes no more than a first small allocation.
    let mut operations = Vec::with_capacity(list.left().min(16));
    while list.left() > 0 {
        operations.push(Operation::read(list.nested("operation")?)?);
    }
    Ok(operations)
}
