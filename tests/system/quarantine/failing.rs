//! Makes any task fail on some of its inputs, or on some of its outputs.

use std::fmt::Debug;
use std::sync::Arc;

use deltic::compiler::{
    BackEnd, CompileInputs, DepStage, DirectStage, Emitted, GroupStage, IncrementalDepStage, Pattern, Sink, ValueSource,
};
use deltic::prelude::*;

/// What a compiler fails on.
pub(crate) trait FailsOn: Send + Sync + 'static {
    /// Whether a front-end fails on its input.
    fn given(&self, input: &Input) -> Result<()>;

    /// Whether a back-end fails on what it would make.
    fn made(&self, output: &OutKey, made: &dyn Debug) -> Result<()>;
}

/// The same task, which fails now and then, under quarantine.
pub(crate) fn failing(task: &Task, on: impl FailsOn) -> Task {
    let pattern = match task.pattern().clone() {
        Pattern::Direct { stage, one_producer } => {
            Pattern::Direct { stage: Arc::new(Failing(stage, Box::new(on))), one_producer }
        }
        Pattern::Group(stage) => Pattern::Group(Arc::new(Failing(stage, Box::new(on)))),
        Pattern::Dep(stage) => Pattern::Dep(Arc::new(Failing(stage, Box::new(on)))),
        Pattern::IncrementalDep(stage) => Pattern::IncrementalDep(Arc::new(Failing(stage, Box::new(on)))),
        Pattern::Global(stage) => Pattern::Global(stage),
    };
    let new = Task::new(task.id().as_str(), pattern).unwrap().version("1");
    let new = new.on_error(OnError::Quarantine { most: 1000 });
    task.memo_limit().into_iter().fold(new, Task::memo)
}

struct Failing<S: ?Sized>(Arc<S>, Box<dyn FailsOn>);

impl<S: BackEnd + ?Sized> BackEnd for Failing<S> {
    fn back(
        &self,
        output: &OutKey,
        values: &mut dyn ValueSource,
        layers: &[(LayerRef, Layer)],
        context: &Context<'_>,
        out: &mut Publish<'_>,
    ) -> Result<()> {
        let outputs = [Layer::generic(output.layer.as_str())?];
        let mut made: Vec<(Name, Payload)> = Vec::new();
        let mut take = |_: u16, name: Name, payload: Payload| {
            made.push((name, payload));
            Ok(())
        };
        let mut publish = Publish::new(&outputs, &mut take);
        self.0.back(output, values, layers, context, &mut publish)?;
        publish.check()?;
        self.1.made(output, &made)?;
        made.into_iter().for_each(|(name, payload)| out.put(output.layer.as_str(), name, payload));
        Ok(())
    }

    fn splits(&self) -> bool {
        self.0.splits()
    }
}

impl<S: GroupStage + ?Sized> GroupStage for Failing<S> {
    fn declared(&self) -> &dyn HasLayers {
        self.0.declared()
    }

    fn front(&self, input: &Input, layers: &[Layer], context: &Context<'_>) -> Result<Emitted> {
        let emitted = self.0.front(input, layers, context)?;
        self.1.given(input)?;
        Ok(emitted)
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.0.read_ahead(inputs, context)
    }
}

impl<S: DepStage + ?Sized> DepStage for Failing<S> {
    fn declared(&self) -> &dyn HasLayers {
        self.0.declared()
    }

    fn front(&self, input: &Whole<'_>, layers: &[Layer], context: &Context<'_>, rows: &mut Sink<'_>) -> Result<()> {
        self.0.front(input, layers, context, rows)
    }
}

impl<S: CompileInputs + ?Sized> CompileInputs for Failing<S> {
    fn compile(&self, output: &OutKey, inputs: &[Input], context: &Context<'_>) -> Result<Option<Payload>> {
        let made = self.0.compile(output, inputs, context)?;
        self.1.made(output, &made)?;
        Ok(made)
    }

    fn read_ahead(&self, inputs: &[Input], context: &Context<'_>) -> Result<()> {
        self.0.read_ahead(inputs, context)
    }
}

impl<S: DirectStage + ?Sized> DirectStage for Failing<S> {
    fn declared(&self) -> &dyn HasLayers {
        self.0.declared()
    }

    fn map_key(&self, key: &Key, out: &mut Outputs<'_>) {
        self.0.map_key(key, out);
    }
}

impl<S: IncrementalDepStage + ?Sized> IncrementalDepStage for Failing<S> {
    fn declared(&self) -> &dyn HasLayers {
        self.0.declared()
    }

    fn graph(&self, input: &Whole<'_>, out: &mut Edges<'_>) -> Result<()> {
        self.0.graph(input, out)
    }

    fn update(
        &self,
        input: &Whole<'_>,
        changes: &mut dyn Iterator<Item = Result<InputChange>>,
        before: &dyn Graph,
        out: &mut Edges<'_>,
    ) -> Result<()> {
        self.0.update(input, changes, before, out)
    }
}
