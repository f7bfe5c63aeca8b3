package Test::Gray::Log;

# Copyright (C) the nginx gray module authors
#
# The error log of one nginx as a stream of events: what the master and the
# workers say about themselves, and what must not be there.

use strict;
use warnings;

use Test::Gray::Process;


sub new {
    my ($class, $file) = @_;

    return bless { file => $file, offset => 0, waited => 0, events => [],
                   workers => {}, quitting => {} }, $class;
}


sub text { return slurp($_[0]{file}) }


# waits for a line behind the one that was waited for last

sub wait {
    my ($self, $regex) = @_;

    return wait_until(sub {
        my $text = $self->text;

        pos($text) = $self->{waited};
        return 0 unless $text =~ /$regex/g;

        $self->{waited} = pos($text);
        return 1;
    });
}


# takes in what was written since the last call

sub scan {
    my ($self) = @_;

    open my $fh, '<:raw', $self->{file} or return;
    seek $fh, $self->{offset}, 0;

    while (my $line = <$fh>) {
        last unless $line =~ /\n\z/;
        $self->{offset} += length $line;

        my ($level, $pid, $text) =
            $line =~ /^\S+ \S+ \[(\w+)\] (\d+)#\d+: (.*)/ or next;

        if ($level eq 'notice' && $text =~ /^start worker process (\d+)/) {
            $self->{workers}{$1} = 1;

        } elsif ($level eq 'notice' && $text eq 'gracefully shutting down') {
            $self->{quitting}{$pid} = 1;

        } elsif (!is_problem($level, $text)) {
            next;
        }

        push @{ $self->{events} },
             { level => $level, pid => $pid, text => $text };
    }

    return;
}


sub is_problem {
    my ($level, $text) = @_;

    return $level eq 'alert' || $level eq 'emerg'
           || $level eq 'notice' && $text =~ /exited with code [1-9]/;
}


# a place in the stream, for the functions below

sub mark {
    my ($self) = @_;

    $self->scan;

    return scalar @{ $self->{events} };
}


sub events {
    my ($self, $mark) = @_;

    $self->scan;

    return @{ $self->{events} }[$mark || 0 .. $#{ $self->{events} }];
}


# how many workers were started

sub started {
    my ($self, $mark) = @_;

    return scalar grep { $_->{text} =~ /^start worker process \d/ }
                       $self->events($mark);
}


# the workers that were not told to quit; some may have died

sub workers {
    my ($self) = @_;

    $self->scan;

    return grep { !$self->{quitting}{$_} } keys %{ $self->{workers} };
}


sub quitting {
    my ($self, $pid) = @_;

    $self->scan;

    return $self->{quitting}{$pid};
}


# why a master has refused a configuration; bind() to an address in use is
# tried again

sub refusal {
    my ($self, $mark, $master) = @_;

    my ($event) = grep { $_->{level} eq 'emerg' && $_->{pid} == $master
                         && $_->{text} !~ /^bind\(\).*in use/ }
                       $self->events($mark);

    return $event && $event->{text};
}


sub problems {
    my ($self, @expected) = @_;

    my @problems;

    for my $event ($self->events) {
        my ($level, $text) = @$event{qw(level text)};

        push @problems, "[$level] $text"
            if is_problem($level, $text) && !grep { $text =~ $_ } @expected;
    }

    return @problems;
}


1;
